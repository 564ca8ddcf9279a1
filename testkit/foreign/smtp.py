"""aiosmtpd: a mail server that keeps what it is sent, one line of JSON each.

With `JACKFIELD_FOREIGN_CONFIG` {"username", "password"} it wants a login; "refuse": n refuses so many mails for now, first.
"""

import asyncio
import json
import os
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

config = json.loads(os.environ.get("JACKFIELD_FOREIGN_CONFIG") or "{}")
refusals = config.get("refuse", 0)


def say(line):
    print(line, flush=True)


class Keep:
    async def handle_DATA(self, server, session, envelope):
        global refusals
        if refusals > 0:
            refusals -= 1
            return "451 4.3.0 Come again"
        text = envelope.content.decode("utf-8", "replace")
        say("MAIL " + json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "text": text}))
        return "250 2.0.0 Kept"


def known(server, session, envelope, mechanism, data):
    wanted = (config["username"].encode(), config["password"].encode())
    fits = isinstance(data, LoginPassword) and (data.login, data.password) == wanted
    return AuthResult(success=fits)


login = {"auth_required": True, "auth_require_tls": False, "authenticator": known} if "username" in config else {}


async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Keep(), hostname="127.0.0.1", **login), "127.0.0.1", 0)
    say(f"READY 127.0.0.1:{server.sockets[0].getsockname()[1]}")
    # Ends with whoever started it: its input closes then.
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(serve())
