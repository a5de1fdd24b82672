-- What the requests that wait for a sleeping app share: when to ask for it, and what was answered.
-- SPDX-License-Identifier: Apache-2.0

local M = {}

--- The word for a time that is over.
M.TIMED_OUT = "wake-timed-out"

-- One request asks for all; another does where no answer came of it for so long.
local ASK_AGAIN_SECONDS = 1

-- A request that has not looked for so long is gone: its client went away.
local GONE_SECONDS = 1

-- A sidecar that is started again is away for a moment; one that stays away wakes nothing.
local UNREACHED_SECONDS = 5

local USUAL_SECONDS = 30

-- A reason stands as it is in a text, in HTML and in a JSON string.
local PLAIN = { ['"'] = "'", ["\\"] = "/", ["<"] = "(", [">"] = ")", ["&"] = "+" }

local function plain(text)
    return (text:gsub('["\\<>&]', PLAIN):gsub("[^\32-\126]", " "))
end

--- Reads how long a request of a backend may wait.
-- @param flags string  the backend's flags
-- @return number  seconds
function M.seconds(flags)
    return tonumber(flags:match("wake:(%d+)")) or USUAL_SECONDS
end

--- Tells how long to sleep before looking again: a request that waits for long looks less often.
-- @param waited number  seconds that it has waited
-- @return number  milliseconds
function M.pause(waited)
    return math.floor(math.min(100, 20 + waited * 20))
end

--- Reads the sidecar's answer.
-- @param status number  nil where there was none
-- @param body string  JSON with a `reason` of plain characters; nothing where there was none
-- @return table  `reason` and `word`, for people and for programs, `unreached`, and `over` where
--   waiting is of no use
function M.read(status, body)
    if not status then
        return { reason = "The sidecar cannot be reached", word = "sidecar-away", unreached = true }
    end
    local reason = body:match('"reason": "([^"]*)"') or "The sidecar answers with " .. status
    local word = body:match('"word": "([^"]*)"') or "wake-failed"
    return { reason = plain(reason), word = plain(word), over = status == 503 }
end

--- Makes the book of one worker.
-- @return table  with the functions below
function M.book()
    local pages = {}

    local function page(backend)
        pages[backend] = pages[backend] or { looked = setmetatable({}, { __mode = "k" }) }
        return pages[backend]
    end

    local book = {}

    --- Takes the task of asking for a backend, if it is time.
    -- @return boolean  whether the caller is the one that asks
    function book.take(backend, now)
        local mine = page(backend)
        if mine.asked and now - mine.asked < ASK_AGAIN_SECONDS then
            return false
        end
        mine.asked = now
        return true
    end

    --- Notes that a request still waits; a table of its own stands for it.
    function book.looks(backend, request, now)
        page(backend).looked[request] = now
    end

    --- Notes that a request waits no more.
    function book.leaves(backend, request)
        page(backend).looked[request] = nil
    end

    --- Counts the requests that wait.
    -- @return number
    function book.waiting(backend, now)
        local looked, count = page(backend).looked, 0
        for request, at in pairs(looked) do
            if now - at > GONE_SECONDS then
                looked[request] = nil
            else
                count = count + 1
            end
        end
        return count
    end

    --- Notes that a server has come, which ends all that was asked for.
    -- @return boolean  whether the caller is the first to see it
    function book.came(backend)
        local mine = page(backend)
        local first = mine.asked ~= nil
        mine.asked = nil
        return first
    end

    --- Notes that a request's time is over.
    -- @return boolean  whether it is time to tell of it
    function book.late(backend, now)
        local mine = page(backend)
        if mine.told and now - mine.told < ASK_AGAIN_SECONDS then
            return false
        end
        mine.told = now
        return true
    end

    --- Notes an answer, as `read` gives it.
    function book.note(backend, now, answer)
        local mine = page(backend)
        mine.reason, mine.word = answer.reason, answer.word
        mine.over = answer.over and now or nil
        mine.unreached = answer.unreached and (mine.unreached or now) or nil
    end

    --- Tells whether a request that has waited since a time is to wait no more.
    -- @return string  why; nil while it is to wait
    -- @return string  the same in a word
    function book.verdict(backend, since, now, deadline)
        local mine = page(backend)
        local over = mine.over and mine.over >= since
        local alone = mine.unreached and now - math.max(since, mine.unreached) > UNREACHED_SECONDS
        if over or alone then
            return mine.reason, mine.word
        elseif now >= deadline then
            local why = mine.reason or ""
            local told = "No task of the app came in time" .. (why ~= "" and ": " .. why or "")
            return told, M.TIMED_OUT
        end
    end

    return book
end

return M
