local pages = require "cce.text.page"

local EVIL = "<script>alert('x')</script>&\"\27[2J"

describe("a page", function()
  it("shows what others chose as text, whatever it is", function()
    local page = pages.new(EVIL)
    page:lead(EVIL, "good")
    page:heading(EVIL)
    page:facts { { EVIL, EVIL }, { "absent", nil } }
    page:list { EVIL }
    page:table({ EVIL }, { { EVIL }, { { EVIL, class = "id" } }, {} })
    page:timeline({ { label = EVIL, from = 1, to = 2, class = "good" } },
      function() return EVIL end)
    local html = page:html(EVIL)
    assert.is_nil(html:find("<script", 1, true))
    assert.is_nil(html:find "[%z\1-\9\11-\31]")
    assert.truthy(html:find("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;", 1, true))
    assert.is_nil(html:find("absent", 1, true))
  end)

  it("needs nothing from elsewhere", function()
    local html = pages.new("a"):html "b"
    assert.is_nil(html:find "https?:")
    assert.is_nil(html:find "src=")
    assert.truthy(html:find("default-src 'none'", 1, true))
  end)

  it("draws when what ran, to scale", function()
    local page = pages.new "a"
    page:timeline({ { label = "one", from = 100, to = 150, class = "good" },
      { label = "two", from = 150, to = 200, class = "bad" } }, tostring)
    local html = page:html ""
    local first, second = html:match '<rect x="([%d.]+)".-<rect x="([%d.]+)"'
    local width = tonumber(html:match '<rect.-width="([%d.]+)"')
    assert.equal(width, second - first)
    page = pages.new "a"
    page:timeline({}, tostring)
    assert.is_nil(page:html(""):find "<svg")
  end)
end)
