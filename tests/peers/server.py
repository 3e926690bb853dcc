"""A Modbus server made of pymodbus, for tests: `server.py tcp` or `server.py rtu PATH BAUD`, and perhaps
`mute` behind it.

Prints one line when it listens: the TCP port, or "ready". Ends when its standard input does.
Units 1 and 2; holding register and input register N of unit U hold 256 * U + N, coils and discrete
inputs are on where N is odd. Others are answered with an exception; where it is `mute`, unit 3 is not
answered.
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


def mute(at):
    # What is sent on behalf of unit 3, whose number stands there, is not.
    return lambda sending, data: b"" if sending and len(data) > at and data[at] == 3 else data


async def main():
    context = ModbusServerContext(devices={1: device(1), 2: device(2)}, single=False)
    if sys.argv[1] == "tcp":
        traced = {"trace_packet": mute(6)} if "mute" in sys.argv else {}
        server = ModbusTcpServer(context, address=("127.0.0.1", 0), **traced)
    else:
        traced = {"trace_packet": mute(0)} if "mute" in sys.argv else {}
        baud = int(sys.argv[3])
        server = ModbusSerialServer(context, port=sys.argv[2], baudrate=baud, **traced)
    await server.serve_forever(background=True)
    if sys.argv[1] == "tcp":
        print(server.transport.sockets[0].getsockname()[1], flush=True)
    else:
        print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.shutdown()


asyncio.run(main())
