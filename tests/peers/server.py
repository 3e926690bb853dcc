"""A Modbus server made of pymodbus, for tests: `server.py tcp` or `server.py rtu PATH BAUD`.

Prints one line when it listens: the TCP port, or "ready". Ends when its standard input does.
Units 1 and 2; holding register and input register N of unit U hold 256 * U + N, coils and discrete
inputs are on where N is odd.
"""

import asyncio
import sys

from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusSerialServer, ModbusTcpServer


def device(unit):
    # Blocks of this library count from 1.
    words = ModbusSequentialDataBlock(1, [256 * unit + n for n in range(200)])
    more = ModbusSequentialDataBlock(1, [256 * unit + n for n in range(200)])
    bits = [n % 2 == 1 for n in range(200)]
    coils, inputs = ModbusSequentialDataBlock(1, bits[:]), ModbusSequentialDataBlock(1, bits[:])
    return ModbusDeviceContext(hr=words, ir=more, co=coils, di=inputs)


async def main():
    context = ModbusServerContext(devices={1: device(1), 2: device(2)}, single=False)
    if sys.argv[1] == "tcp":
        server = ModbusTcpServer(context, address=("127.0.0.1", 0))
    else:
        server = ModbusSerialServer(context, port=sys.argv[2], baudrate=int(sys.argv[3]))
    await server.serve_forever(background=True)
    if sys.argv[1] == "tcp":
        print(server.transport.sockets[0].getsockname()[1], flush=True)
    else:
        print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.shutdown()


asyncio.run(main())
