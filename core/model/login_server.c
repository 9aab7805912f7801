/* SPDX-License-Identifier: BSD-3-Clause
 * login_server.c - control servers as preferences and profiles name them
 * Source: ipn/prefs.go (IsLoginServerSynonym)
 */
#include "core/model/login_server.h"

#include <stddef.h>
#include <string.h>

#define OLD_CONTROL_URL "https://login.tailscale.com"

static size_t len_without_slashes(const char *url)
{
	size_t len = strlen(url);

	while (len > 0 && url[len - 1] == '/')
		len--;
	return len;
}

static bool is_same_text(const char *a, const char *b)
{
	size_t len = len_without_slashes(a);

	return len == len_without_slashes(b) && strncmp(a, b, len) == 0;
}

bool ts_login_server_is_default(const char *url)
{
	return !url || !*url || is_same_text(url, TS_DEFAULT_CONTROL_URL) ||
	       is_same_text(url, OLD_CONTROL_URL);
}

bool ts_login_server_is_same(const char *a, const char *b)
{
	if (ts_login_server_is_default(a))
		return ts_login_server_is_default(b);
	return !ts_login_server_is_default(b) && is_same_text(a, b);
}
