"""A Modbus TCP client made of pymodbus, for tests: reads lines of JSON, prints an answer to each.

`client.py PORT`; a line is ["read_holding_registers", [0], {"count": 2}]. The answer is
{"words": [...]}, {"bits": [...]}, {"done": true}, {"exception": 4} or {"error": "..."}.
"""

import json
import sys

from pymodbus.client import ModbusTcpClient

client = ModbusTcpClient("127.0.0.1", port=int(sys.argv[1]), timeout=5, retries=0)
assert client.connect()
for line in sys.stdin:
    name, positional, named = json.loads(line)
    try:
        said = getattr(client, name)(*positional, **named)
        if said.isError():
            answer = {"exception": said.exception_code}
        elif name.startswith("read"):
            words = bool(getattr(said, "registers", None))
            answer = {"words": said.registers} if words else {"bits": said.bits}
        else:
            answer = {"done": True}
    except Exception as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
