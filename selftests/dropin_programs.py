#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Queues of the module sysv_ipc: prints what it says, and leaves a queue behind with the
key 0x4b51. For dropin_programs.sh, which compares."""

import os
import time

import sysv_ipc

KEY = 0x4b51


def told(what, function, *arguments, **named):
    """Calls a function, and prints its result or its exception."""
    try:
        result = function(*arguments, **named)
    except (sysv_ipc.Error, ValueError, OSError) as error:
        result = f"{type(error).__name__}: {error}"
    print(f"{what}: {result}", flush=True)


def types():
    """Each form of a type, and what there is to know of a queue."""
    told("open what is not there", sysv_ipc.MessageQueue, KEY)
    queue = sysv_ipc.MessageQueue(KEY, sysv_ipc.IPC_CREX, mode=0o640)
    told("make it again", sysv_ipc.MessageQueue, KEY, sysv_ipc.IPC_CREX)
    for number in (3, 1, 2, 1):
        told(f"send {number}", queue.send, f"of type {number}", type=number)
    print(queue.current_messages, oct(queue.mode), queue.max_size, queue.uid, queue.gid,
          queue.cuid, queue.cgid, queue.last_send_pid == os.getpid(), queue.last_receive_pid,
          abs(queue.last_send_time - time.time()) < 60, queue.last_receive_time,
          abs(queue.last_change_time - time.time()) < 60)
    told("receive 2", queue.receive, type=2)
    told("receive up to 2", queue.receive, type=-2)
    told("receive any", queue.receive)
    told("receive 9, not waiting", queue.receive, block=False, type=9)
    told("receive", queue.receive)
    told("receive from an empty one", queue.receive, block=False)
    print(queue.last_receive_pid == os.getpid())
    queue.mode = 0o600
    queue.max_size = 100
    print(oct(queue.mode), queue.max_size)
    told("fill", queue.send, b"x" * 60)
    told("more than it holds", queue.send, b"x" * 60, block=False)
    told("remove", queue.remove)
    told("remove it again", queue.remove)


def threads_of_work():
    """Children that take jobs from one queue, and give what they made to another."""
    jobs = sysv_ipc.MessageQueue(None, sysv_ipc.IPC_CREX)
    done = sysv_ipc.MessageQueue(None, sysv_ipc.IPC_CREX)
    children = []
    for _ in range(3):
        pid = os.fork()
        if not pid:
            while True:
                job, kind = jobs.receive()
                if kind == 2:
                    os._exit(0)
                done.send(job[::-1], type=int(job) + 1)
        children.append(pid)
    for number in range(150):
        jobs.send(str(number))
    made = [done.receive(type=number + 1)[0].decode() for number in range(150)]
    print(made == [str(number)[::-1] for number in range(150)])
    for pid in children:
        jobs.send("end", type=2)
    print([os.waitpid(pid, 0)[1] for pid in children])
    jobs.remove()
    done.remove()


types()
threads_of_work()
sysv_ipc.MessageQueue(KEY, sysv_ipc.IPC_CREX, mode=0o604).send("left behind")
