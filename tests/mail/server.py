"""A mail server for the tests: Debian's aiosmtpd on a free loopback port, which is printed first.

server.py FOLDER [--starttls | --tls] [--login USER PASSWORD] [--smtputf8] [--count]

Certificate and key are FOLDER/certificate.pem and FOLDER/key.pem. It writes down what it sees, one JSON object a line, in FOLDER/seen: connections, bytes with and without TLS, logins,
and each mail, as it came and as Python's mail parser understands it. What FOLDER/rcpt or FOLDER/data has is its answer
to that command from then on; the word "hang" stands for none, "drop" for hanging up.
"""

import argparse
import asyncio
import email
import email.policy
import json
import pathlib
import ssl

from aiosmtpd.smtp import SMTP, AuthResult

arguments = argparse.ArgumentParser()
arguments.add_argument("folder", type=pathlib.Path)
arguments.add_argument("--starttls", action="store_true")
arguments.add_argument("--tls", action="store_true")
arguments.add_argument("--login", nargs=2)
arguments.add_argument("--smtputf8", action="store_true")
arguments.add_argument("--count", action="store_true", help="only keep the number of mails in FOLDER/count")
given = arguments.parse_args()


count = 0


def note(**what):
    if given.count:
        return
    with open(given.folder / "seen", "a") as seen:
        seen.write(json.dumps(what) + "\n")


def part(message, kind):
    body = message.get_body((kind,))
    return body.get_content() if body else None


async def answer(server, command):
    file = given.folder / command
    words = file.read_text().strip() if file.exists() else ""
    if words == "hang":
        await asyncio.sleep(60)
    if words == "drop":
        server.transport.abort()
        return "421 gone"
    return words


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        words = await answer(server, "rcpt")
        if not words:
            envelope.rcpt_tos.append(address)
        return words or "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        words = await answer(server, "data")
        if words:
            return words
        if given.count:
            global count
            count += 1
            (given.folder / "count").write_text(str(count))
            return "250 2.0.0 Taken"
        message = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        note(
            mail=envelope.original_content.decode("latin1"),
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            headers=[[name, str(value)] for name, value in message.items()],
            text=part(message, "plain"),
            html=part(message, "html"),
            tls=session.ssl is not None or given.tls,
            login=bool(session.authenticated),
        )
        return "250 2.0.0 Taken"


class Server(SMTP):
    def connection_made(self, transport):
        if transport.get_extra_info("sslcontext") is None or given.tls:
            note(connection=True)
        super().connection_made(transport)

    def data_received(self, data):
        note(bytes=data.decode("latin1"), tls=self.transport.get_extra_info("sslcontext") is not None)
        super().data_received(data)


def authenticate(server, session, envelope, mechanism, login):
    right = [login.login.decode(), login.password.decode()] == given.login
    note(login=mechanism, right=right)
    return AuthResult(success=right, handled=False)


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(given.folder / "certificate.pem", given.folder / "key.pem")
    return made


async def serve():
    starttls = context() if given.starttls else None
    more = {"authenticator": authenticate, "auth_required": True} if given.login else {}
    if given.tls:
        more["auth_require_tls"] = False

    def protocol():
        loop = asyncio.get_running_loop()
        return Server(
            Handler(),
            hostname="mail.test",
            enable_SMTPUTF8=given.smtputf8,
            tls_context=starttls,
            loop=loop,
            **more,
        )

    inner = context() if given.tls else None
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=inner)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(serve())
