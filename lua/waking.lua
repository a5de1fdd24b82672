-- Has a request wait while the app it is for is asleep, and asks the sidecar to wake it.
--
-- lua-load waking.lua STATE-FOLDER
--
-- or, for HAProxy 2.6, the same word by `setenv MLB_WAKING "..."` before `lua-load`.
--
-- Action: mlb_wake, of backends; it reads txn.flags, where `wake:30` says how many seconds a
-- request may wait. It ends when the backend has a usable server. Where none came, it sets
-- txn.asleep, one line for a person: why, and txn.asleep_word, the same for a program. Nothing
-- blocks: the request sleeps, and looks again.
-- Needs HAProxy 2.6 or later, and `lua-prepend-path` for lib/.
-- SPDX-License-Identifier: Apache-2.0

local sockets = require("lib.sockets")
local waits = require("lib.waits")

local SIDECAR_SECONDS = 2

-- What follows a reload reaches the new worker alone.
local RELOADED = {
    reason = "HAProxy was reloaded meanwhile; ask again",
    word = "reloaded",
    over = true,
}

local folder = ... or os.getenv("MLB_WAKING") or ""
if folder:sub(1, 1) ~= "/" then
    error(("waking.lua takes the state folder as its argument, not '%s'"):format(folder), 0)
end

-- HAProxy's own map, with what commands have changed in it.
local LEDGER = Map.new(folder .. "/backend2app.map", Map._str)

local book = waits.book()

local function now()
    local time = core.now()
    return time.sec + time.usec / 1000000
end

-- The name that the sidecar knows a backend by, which a spare has in the ledger.
local function true_name(backend)
    return (LEDGER:lookup(backend) or ""):match("^%S+") or backend
end

-- Who waits is not kept by that.
local function tell(backend, outcome)
    local target = ("/waited/%s?outcome=%s"):format(true_name(backend), outcome)
    core.register_task(function()
        sockets.exchange(folder .. "/sidecar.sock", target, sockets.deadline(SIDECAR_SECONDS))
    end)
end

local function ask(backend)
    if tostring(core.get_info().Stopping) == "1" then
        return RELOADED
    end
    local waiting = book.waiting(backend, now())
    local target = ("/wake/%s?waiting=%d"):format(true_name(backend), waiting)
    local deadline = sockets.deadline(SIDECAR_SECONDS)
    local reply = sockets.exchange(folder .. "/sidecar.sock", target, deadline)
    return reply and waits.read(reply.status, reply.body) or waits.read()
end

local function wake(txn)
    local backend, since, request = txn.sf:be_name(), now(), {}
    local deadline = since + waits.seconds(txn:get_var("txn.flags") or "")
    while txn.f:nbsrv() == 0 do
        book.looks(backend, request, now())
        if book.take(backend, now()) then
            book.note(backend, now(), ask(backend))
        end
        local why, word = book.verdict(backend, since, now(), deadline)
        if why then
            book.leaves(backend, request)
            if word == waits.TIMED_OUT and book.late(backend, now()) then
                tell(backend, "timed-out")
            end
            txn:set_var("txn.asleep", why)
            return txn:set_var("txn.asleep_word", word)
        end
        core.msleep(waits.pause(now() - since))
    end
    book.leaves(backend, request)
    if book.came(backend) then
        tell(backend, "served")
    end
end

core.register_action("mlb_wake", { "http-req" }, wake, 0)
