"""A small independent reading of RFC 3261: could this sequence of message types be one Call-ID's traffic?

The types do not say which request a response answers, so the checker keeps every reading that is still possible.
"""
from collections import namedtuple

INVITE_SENDS, REQUEST_SENDS = 7, 11  # timers B and F on UDP

# open: an INVITE waits for its final response; rang: it had a provisional response above 100; stopped: CANCEL or
# BYE was sent for it; finals: copies of its final response that no ACK has answered; final: their code; acked: one
# of them was; talking: a call is established; ended: a BYE was sent in it; waiting: non-INVITE requests without
# answer; method: theirs; last, run: the last message and how often it came in a row.
State = namedtuple("State", "open rang stopped finals final acked talking ended waiting method last run")
START = State(False, False, False, 0, None, False, False, False, 0, None, None, 0)


def _request(s, m):
    if m == "ACK":
        return [s._replace(finals=s.finals - 1, acked=True)] if s.finals else []
    if s.finals and not s.acked:
        return []
    s = s._replace(finals=0)
    again = s._replace(waiting=s.waiting + 1 if s.last == m else 1, method=m)
    if m == "INVITE":
        return [] if s.ended else [s._replace(open=True, rang=False, stopped=False, final=None, acked=False)]
    if m == "CANCEL":
        return [again._replace(stopped=True)] if s.open else []
    if m == "BYE":
        if s.open and s.rang and not s.talking:  # ends an early dialog
            return [again._replace(stopped=True)]
        again = again._replace(waiting=s.waiting + 1 if s.method == m else 1)
        return [again._replace(ended=True)] if s.talking else []
    if s.ended or (s.talking and m in ("REGISTER", "PUBLISH")):
        return []
    if s.open and not s.talking:
        return [again] if m in ("PRACK", "UPDATE") and s.rang else []
    if s.last == "SUBSCRIBE" and m == "NOTIFY":  # it may overtake the answer
        return [again._replace(waiting=s.waiting + 1)]
    return [again]


def _response(s, code):
    found = []
    if code < 200:
        if s.open and not (s.talking and code > 100):
            found.append(s._replace(rang=s.rang or code > 100))
        return found
    if s.waiting and code != 487:
        found.append(s._replace(waiting=s.waiting - 1))
    if s.open and (code != 487 or s.stopped):
        talking = s.talking or code < 300
        found.append(s._replace(open=False, finals=s.finals + 1, final=code, talking=talking))
    elif s.final == code and s.last in ("ACK", str(code)):  # sent again until its ACK arrives
        found.append(s._replace(finals=s.finals + 1))
    return found


def _step(s, m):
    if m == s.last:
        run = s.run + 1
        if not m.isdigit() and m != "ACK" and run > (INVITE_SENDS if m == "INVITE" else REQUEST_SENDS):
            return []
    else:
        run = 1
    return [n._replace(last=m, run=run) for n in (_response(s, int(m)) if m.isdigit() else _request(s, m))]


def is_legal(messages):
    """Whether a list of types ("INVITE", "200", ...) is traffic that a SIP expert would accept."""
    if not messages or messages[0].isdigit() or messages[0] in ("ACK", "BYE", "CANCEL", "PRACK"):
        return False
    states = {START}
    for m in messages:
        states = {n for s in states for n in _step(s, m)}
        if not states:
            return False
    return any(s.finals == 0 or s.acked for s in states)
