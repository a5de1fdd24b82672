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

local function ask(backend)
    if tostring(core.get_info().Stopping) == "1" then
        return RELOADED
    end
    local target = "/wake/" .. true_name(backend)
    local deadline = sockets.deadline(SIDECAR_SECONDS)
    local reply, problem = sockets.exchange(folder .. "/sidecar.sock", target, deadline)
    return reply and waits.read(reply.status, reply.body) or waits.read(nil, problem)
end

local function wake(txn)
    local backend, since = txn.sf:be_name(), now()
    local deadline = since + waits.seconds(txn:get_var("txn.flags") or "")
    while txn.f:nbsrv() == 0 do
        if book.take(backend, now()) then
            book.note(backend, now(), ask(backend))
        end
        local why, word = book.verdict(backend, since, now(), deadline)
        if why then
            txn:set_var("txn.asleep", why)
            return txn:set_var("txn.asleep_word", word)
        end
        core.msleep(waits.pause(now() - since))
    end
end

core.register_action("mlb_wake", { "http-req" }, wake, 0)
