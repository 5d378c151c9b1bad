// Finds headings and functions by the words that are typed. The index is a script
// of its own (search_index.js), so that the pages work from a file system, too.
(function () {
  const box = document.getElementById("search"), list = document.getElementById("found");
  const root = document.body.dataset.root;
  const MOST = 12;

  function matches(words) {
    const found = [];
    for (const entry of SEARCH_INDEX) {
      const title = entry.title.toLowerCase(), text = title + " " + entry.text.toLowerCase();
      if (!words.every((word) => text.includes(word))) continue;
      const inTitle = words.filter((word) => title.includes(word)).length;
      found.push({ entry, rank: inTitle * 10 + (title.startsWith(words[0]) ? 5 : 0) });
    }
    found.sort((a, b) => b.rank - a.rank);
    return found.slice(0, MOST).map((each) => each.entry);
  }

  function show() {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    list.replaceChildren();
    list.hidden = words.length === 0;
    if (list.hidden) return;
    const found = matches(words);
    for (const entry of found) {
      const item = document.createElement("li"), link = document.createElement("a");
      const page = document.createElement("small");
      link.href = root + entry.page;
      link.textContent = entry.title;
      page.textContent = entry.of;
      link.append(page);
      item.append(link);
      list.append(item);
    }
    if (found.length === 0) {
      const item = document.createElement("li");
      item.textContent = "Nothing of these words";
      list.append(item);
    }
  }

  box.addEventListener("input", show);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== box) {
      event.preventDefault();
      box.focus();
    } else if (event.key === "Escape") {
      list.hidden = true;
    } else if (event.key === "Enter" && document.activeElement === box) {
      const first = list.querySelector("a");
      if (first) location.href = first.href;
    }
  });
})();
