--- One page of HTML for people who were not there: an auditor, a colleague in the
-- morning. It needs nothing but itself: no script, no style or font from elsewhere.
--
--     local page = pages.new("rotate friday")
--     page:facts { { "asked by", "user jane" } }
--     page:table({ "CLUSTER", "OUTCOME" }, rows)
--     write(page:html())
-- @module cce.text.page
-- @local
local width = require "cce.text.width"

local M = {}

local Page = {}
Page.__index = Page

local STYLE = [[
body{font:15px/1.5 system-ui,sans-serif;color:#1d2329}
body{margin:2rem auto;max-width:80rem;padding:0 1rem}
h1{font-size:1.6rem;margin:0 0 .3rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p.lead{font-size:1.1rem;margin:.2rem 0 1rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:0}
dt{color:#5b6670}dd{margin:0;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}table+table{margin-top:1.5rem}
th,td{border-bottom:1px solid #dfe3e8;padding:.35rem .6rem;
text-align:left;
vertical-align:top;overflow-wrap:break-word}
th{color:#5b6670;font-size:12px;white-space:nowrap}.whole{white-space:nowrap}
.id{font-family:ui-monospace,monospace;font-size:12.5px;overflow-wrap:anywhere}
.good{color:#0b7a3b}.bad{color:#b42318}.open{color:#a15c00}.quiet{color:#5b6670}
.chart{overflow-x:auto;border:1px solid #dfe3e8;border-radius:6px}
svg{display:block;width:100%;min-width:44rem;height:auto}
footer{margin-top:3rem;color:#5b6670;font-size:13px}
@media (max-width:50rem){thead{display:none}tr,td{display:block}td{border:0;padding:.1rem 0}
tr{border-bottom:1px solid #dfe3e8;padding:.5rem 0}td:empty{display:none}.whole{white-space:normal}
td::before{content:attr(data-title)" ";color:#5b6670;font:12px system-ui,sans-serif}}
@media print{body{margin:0;max-width:none}tr{break-inside:avoid}}
]]

local ENTITIES = {
  ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;",
}

--- Text as HTML shows it: others chose the names in it.
-- @tparam ?any text
-- @treturn string
function M.escape(text)
  return (width.clean_line(text):gsub("[&<>\"']", ENTITIES))
end

--- Begin a page.
-- @tparam string title
-- @treturn table a page
function M.new(title)
  return setmetatable({ title = title, parts = {} }, Page)
end

local function add(self, format, ...)
  self.parts[#self.parts + 1] = format:format(...)
end

--- The sentence under the title.
function Page:lead(text, class)
  add(self, '<p class="lead %s">%s</p>', class or "", M.escape(text))
end

function Page:heading(text)
  add(self, "<h2>%s</h2>", M.escape(text))
end

--- Names and values; what has no value is left out.
-- @tparam {{string,?any},...} facts
function Page:facts(facts)
  local rows = {}
  for _, fact in ipairs(facts) do
    if fact[2] ~= nil then
      rows[#rows + 1] = ("<dt>%s</dt><dd>%s</dd>"):format(M.escape(fact[1]), M.escape(fact[2]))
    end
  end
  add(self, "<dl>\n%s\n</dl>", table.concat(rows, "\n"))
end

--- Sentences.
function Page:list(sentences)
  local items = {}
  for i, sentence in ipairs(sentences) do items[i] = "<li>" .. M.escape(sentence) .. "</li>" end
  add(self, "<ul>\n%s\n</ul>", table.concat(items, "\n"))
end

--- A table.
-- @tparam {string,...} titles
-- @tparam {table,...} rows each a list of cells: texts, or `{ text, class= }`, where the
--   class is "good", "bad", "open", "quiet", "id", or "whole", which is not wrapped
function Page:table(titles, rows)
  local lines, heads = {}, {}
  for i, title in ipairs(titles) do heads[i] = "<th>" .. M.escape(title) .. "</th>" end
  for i, row in ipairs(rows) do
    local cells = {}
    -- Where it is narrow, a row stands as lines, each with the title before it.
    for k, title in ipairs(titles) do
      local cell = row[k]
      local text, class = cell, nil
      if type(cell) == "table" then text, class = cell[1], cell.class end
      cells[k] = ('<td data-title="%s"%s>%s</td>'):format(M.escape(title),
        class and ' class="' .. class .. '"' or "", M.escape(text))
    end
    lines[i] = "<tr>" .. table.concat(cells) .. "</tr>"
  end
  add(self, "<table>\n<thead><tr>%s</tr></thead>\n<tbody>\n%s\n</tbody>\n</table>",
    table.concat(heads), table.concat(lines, "\n"))
end

local COLOURS = { good = "#0b7a3b", bad = "#b42318", open = "#d98200", quiet = "#8b98a5" }

local ROW, LABELS, CHART = 20, 260, 740

--- A picture of what ran when.
-- @tparam {table,...} spans `{ label=, from=, to=, class= }`, in unix time
-- @tparam function time_text writes a moment
function Page:timeline(spans, time_text)
  local first, last
  for _, span in ipairs(spans) do
    first = math.min(first or span.from, span.from)
    last = math.max(last or span.to, span.to)
  end
  if not first then return end
  local scale = CHART / math.max(last - first, 0.001)
  local height = #spans * ROW + 34
  local parts = { ('<div class="chart"><svg viewBox="0 0 1010 %d" role="img"'
    .. ' aria-label="what ran when">'):format(height) }
  for i, span in ipairs(spans) do
    local y = (i - 1) * ROW + 8
    local long = math.max((span.to - span.from) * scale, 2)
    parts[#parts + 1] = ('<text x="8" y="%d" font-size="12" fill="#1d2329">%s</text>'):format(
      y + 12, M.escape(width.cut(width.clean_line(span.label), 36)))
    parts[#parts + 1] = ('<rect x="%.1f" y="%d" width="%.1f" height="12" rx="2" fill="%s">'
      .. "<title>%s to %s</title></rect>"):format(LABELS + (span.from - first) * scale, y + 2, long,
      COLOURS[span.class] or COLOURS.quiet, M.escape(time_text(span.from)),
      M.escape(time_text(span.to)))
  end
  parts[#parts + 1] = ('<text x="%d" y="%d" font-size="12" fill="#5b6670">%s</text>'):format(
    LABELS, height - 10, M.escape(time_text(first)))
  parts[#parts + 1] = ('<text x="%d" y="%d" font-size="12" fill="#5b6670" text-anchor="end">'
    .. "%s</text>"):format(LABELS + CHART, height - 10, M.escape(time_text(last)))
  parts[#parts + 1] = "</svg></div>"
  add(self, "%s", table.concat(parts, "\n"))
end

--- The whole page.
-- @tparam string footer
-- @treturn string
function Page:html(footer)
  return table.concat {
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; ',
    'style-src \'unsafe-inline\'">\n<title>', M.escape(self.title), "</title>\n<style>\n", STYLE,
    "</style>\n</head>\n<body>\n<h1>", M.escape(self.title), "</h1>\n",
    table.concat(self.parts, "\n"), "\n<footer>", M.escape(footer), "</footer>\n</body>\n</html>\n",
  }
end

return M
