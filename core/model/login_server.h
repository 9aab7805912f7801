/* login_server.h - control servers as preferences and profiles name them */
#ifndef CORE_MODEL_LOGIN_SERVER_H
#define CORE_MODEL_LOGIN_SERVER_H

#include <stdbool.h>

#define TS_DEFAULT_CONTROL_URL "https://controlplane.tailscale.com"

/* Is it Tailscale's own, by one of its names? NULL and "" are. */
bool ts_login_server_is_default(const char *url);
/* The same, however it is written: one URL may end in a slash. */
bool ts_login_server_is_same(const char *a, const char *b);

#endif
