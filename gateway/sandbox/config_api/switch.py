"""Take the Config API away, as an upgrade, a proxy or a role may do: it is no public contract."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.sandbox.faults import Faults
from gateway.sandbox.refusals import Hal
from gateway.sandbox.system import nowhere
from gateway.sandbox.wire import json_answer

OTHER_SHAPE = {"jobs": {"page": 1}, "job": "moved", "connections": "moved"}


class ConfigApiSwitch:
    """Answers for the Config API what a test has asked for, or lets its routes answer."""

    def __init__(self, app: ASGIApp, *, faults: Faults) -> None:
        self.app = app
        self.faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_held_back(message: Message) -> None:
            if message["type"] == "http.response.start" and self.faults.config_api_hang is not None:
                await self.faults.config_api_hang.wait()
            await send(message)

        app = self.app
        if self.faults.config_api == "forbidden":
            raise Hal(403)
        if self.faults.config_api == "absent":
            app = nowhere()
        elif self.faults.config_api == "other shape":
            app = json_answer(OTHER_SHAPE)
        await app(scope, receive, send_held_back)
