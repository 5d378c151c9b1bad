/*
 * host_program: a program that embeds Lua and uses libcurl itself, before Lua
 * and after it. For spec/core/link_spec.lua, which links it.
 *   host_program SCRIPT URL
 */
#include <curl/curl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

static size_t drop(char *bytes, size_t size, size_t items, void *context)
{
    (void)bytes;
    (void)context;
    return size * items;
}

static int fetch(const char *url)
{
    CURL *easy = curl_easy_init();
    CURLcode result;

    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    result = curl_easy_perform(easy);
    curl_easy_cleanup(easy);
    return result == CURLE_OK ? 0 : 1;
}

/* Whether a library whose path ends with `name` is still mapped. */
static int is_mapped(const char *name)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096];
    int found = 0;

    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        found = found || strstr(line, name) != NULL;
    if (maps != NULL)
        fclose(maps);
    return found;
}

int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();

    if (argc != 3 || L == NULL)
        return 2;
    luaL_openlibs(L);
    lua_pushstring(L, argv[2]);
    lua_setglobal(L, "URL");
    if (luaL_loadfile(L, argv[1]) != 0 || lua_pcall(L, 0, 0, 0) != 0) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        return 3;
    }
    printf("before %d\n", is_mapped("/cce/core.so"));
    lua_close(L);
    printf("after %d\n", is_mapped("/cce/core.so"));
    if (fetch(argv[2]) != 0)
        return 4;
    curl_global_cleanup();
    printf("done\n");
    return 0;
}
