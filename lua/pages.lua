-- Says which form of a page a client gets, where no agent does: it is away, or not asked.
--
-- lua-load pages.lua
--
-- Sample fetch: lua.mlb_form, of requests: `html`, `json` or `text`, by the Accept header.
-- Needs HAProxy 2.6 or later, and `lua-prepend-path` for lib/.
-- SPDX-License-Identifier: Apache-2.0

local forms = require("lib.forms")

local LONGEST = 1000

core.register_fetches("mlb_form", function(txn)
    local accept = txn.sf:req_fhdr("accept") or ""
    return forms.form_for(accept:sub(1, LONGEST))
end)
