"""The settings of the server: where it listens, who may use it, and how much of the machine it takes."""

from __future__ import annotations

import ipaddress

from textgen.config.base import Config
from textgen.config.fields import require, setting
from textgen.errors import ConfigError


class ServerConfig(Config):
    """How runs are served over HTTP."""

    host: str = setting(
        default="127.0.0.1",
        expected="an address of this machine",
        help="Address to listen at; any other than this machine's own needs a token.",
        details="0.0.0.0 stands for all addresses of the machine.",
    )
    port: int = setting(default=8000, ge=0, le=65_535, help="Port to listen at; 0 takes a free one.")
    token: str = setting(
        default="",
        expected="16 to 1,000 visible ASCII characters",
        otherwise="none",
        help="What clients must send as their API key.",
        details="Others on this machine can see it on a command line: set the environment variable TEXTGEN_TOKEN "
        "instead.",
    )
    allow_host: tuple[str, ...] = setting(
        default=(),
        expected="a name such as models.example.org",
        help="A name by which clients may call the server; can be given several times.",
        details="Names that are not known are refused, against DNS rebinding.",
    )
    allow_origin: tuple[str, ...] = setting(
        default=(),
        expected="an origin such as https://example.org",
        help="A web page's origin that may use the server (CORS); can be given several times.",
    )
    rows: int = setting(default=256, ge=1, le=65_536, unit="texts", help="Texts that are written at once.")
    queue: int = setting(
        default=1024, ge=0, le=10**6, unit="requests", help="Requests that may wait; further ones get status 429."
    )
    connections: int = setting(
        default=2048, ge=1, le=10**6, help="Connections that are open at once; further ones get status 503."
    )
    body: int = setting(default=2**20, ge=1024, le=2**30, unit="bytes", help="The largest request, in bytes.")
    prompt_length: int = setting(
        default=100_000,
        ge=1,
        le=10**9,
        unit="characters",
        help="The longest prompt, in characters; of several, all together.",
    )
    total_length: int = setting(
        default=200_000,
        ge=1,
        le=10**9,
        unit="characters",
        help="The most characters that a request may ask for, n x max_tokens.",
    )
    time_limit: float = setting(
        default=600.0, ge=1, le=10**6, unit="seconds", help="Longest time for a request; its texts end then."
    )
    patience: float = setting(
        default=30.0,
        ge=0.1,
        le=10**4,
        unit="seconds",
        help="How long a client may take to send a request, or to take what is sent to it.",
    )
    memory: int = setting(
        default=2048, ge=1, le=10**7, unit="MiB", help="Memory for models, in MiB; those used longest ago are dropped."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        printable = all(" " < each <= "~" for each in self.token)
        if self.token and not (16 <= len(self.token) <= 1000 and printable):
            raise ConfigError(
                f"token must be {self.declared['token'].allowed}. Make one with: openssl rand -hex 16", field="token"
            )
        for each in self.allow_origin:
            scheme, _, rest = each.partition("://")
            valid = scheme in ("http", "https") and rest != "" and not set(rest) & set("/*@ ")
            require(valid, "allow_origin", self.declared["allow_origin"].allowed, each)
        for each in self.allow_host:
            require(
                each != "" and not set(each) & set("/*@: "), "allow_host", self.declared["allow_host"].allowed, each
            )
        if not self.is_local and not self.token:
            raise ConfigError(
                f"host {self.host} lets other machines in, so a token is compulsory. Set the environment variable "
                "TEXTGEN_TOKEN to at least 16 characters that nobody can guess, or listen at 127.0.0.1.",
                field="host",
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server.

        >>> ServerConfig().is_local, ServerConfig(host="0.0.0.0", token="0123456789abcdef").is_local
        (True, False)
        """
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
