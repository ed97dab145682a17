# SPDX-License-Identifier: Apache-2.0
"""python-h2 as a tunnel peer needs it, and what is remembered of a stream."""

from support.require import give_up

try:
    import h2.config
    import h2.connection
    import h2.events
    import h2.settings
    import hyperframe.frame
except ImportError:
    give_up("h2")

SETTING = h2.settings.SettingCodes


class Machine(h2.connection.H2Connection):
    """python-h2 without its habits that a tunnel peer doesn't have: GOAWAY ends nothing but
    the opening of streams, PINGs may stay unanswered, SETTINGS are exactly those given."""

    answer_pings = True     # False: answers are held back until take_answers()

    def take_answers(self):
        """Frames that answer the PINGs that came meanwhile."""
        held, self._held = getattr(self, "_held", b""), b""
        return held

    def start(self, settings):
        for code, value in settings.items():
            if code in SETTING.__members__.values():
                self.local_settings[code] = value
        self.local_settings.acknowledge()
        self.max_inbound_frame_size = self.local_settings.max_frame_size
        self.state_machine.process_input(h2.connection.ConnectionInputs.SEND_SETTINGS)
        frame = hyperframe.frame.SettingsFrame(0)
        frame.settings = dict(settings)
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" if self.config.client_side else b""
        self._data_to_send += preface + frame.serialize()

    def _receive_goaway_frame(self, frame):
        event = h2.events.ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        return [], [event]

    def _receive_ping_frame(self, frame):
        frames, events = super()._receive_ping_frame(frame)
        if self.answer_pings:
            return frames, events
        self._held = self.take_answers() + b"".join(f.serialize() for f in frames)
        return [], events


class Stream:
    def __init__(self, number):
        self.id = number
        self.headers = {}       # of the peer: request or response
        self.log = []
        self.data = bytearray()
        self.n_received = 0
        self.ended = False      # the peer sent END_STREAM
        self.reset = None       # the peer's RST_STREAM code
        self.on_data = None     # callable(bytes): takes data instead of self.data
        self.on_end = None      # callable(): END_STREAM or reset arrived
        self.held = 0           # received and not credited, when credit is manual
        self.auto_credit = True

    @property
    def closed(self):
        return self.ended or self.reset is not None

    def note(self, what):
        if not (what == "data" and self.log and self.log[-1] == "data"):
            self.log.append(what)


def new_machine(opener):
    """@opener: the HTTP/2 client role."""
    return Machine(h2.config.H2Configuration(
        client_side=opener, header_encoding="utf-8", validate_inbound_headers=False,
        validate_outbound_headers=False, normalize_outbound_headers=False))
