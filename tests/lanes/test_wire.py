"""Messages arrive whole and in order, however the bytes are cut."""

import asyncio
import pickle
import socket

from hypothesis import given
from hypothesis import strategies as st

from batchgen.lanes.wire import Message, Wire

MESSAGES = st.lists(st.tuples(st.integers(0, 9), st.binary(max_size=300)), max_size=12)


@given(groups=st.lists(MESSAGES, max_size=5), cuts=st.lists(st.integers(1, 400), max_size=20))
def test_frames_cut_anywhere_are_the_messages_that_were_told(
    groups: list[list[Message]], cuts: list[int]
) -> None:
    frames = [pickle.dumps(group) for group in groups]
    stream = b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)
    heard: list[Message] = []

    async def receive() -> None:
        wire = Wire(heard.append, lambda: None)
        position = 0
        for cut in (*cuts, len(stream) + 1):
            wire.data_received(stream[position : position + cut])
            position += cut

    asyncio.run(receive())

    assert heard == [message for group in groups for message in group]


async def test_what_is_told_at_one_end_is_heard_at_the_other_until_it_closes() -> None:
    loop = asyncio.get_running_loop()
    closed = loop.create_future()
    heard: list[Message] = []
    near, far = socket.socketpair()
    told = Wire(heard.append, lambda: None)
    listening = Wire(heard.append, lambda: closed.set_result(None))
    await loop.create_unix_connection(lambda: told, sock=near)
    await loop.create_unix_connection(lambda: listening, sock=far)

    told.tell((1, "send"))
    told.tell((2, b"x" * 1_000_000))
    told.close()
    await closed

    assert heard == [(1, "send"), (2, b"x" * 1_000_000)]
