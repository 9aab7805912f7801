/* SPDX-License-Identifier: BSD-3-Clause
 * api_check.h - what the programs that try tsnet.h have in common
 *
 * The first thing that is not as it should be is told on stderr, and ends the
 * program.
 */
#ifndef TESTS_E2E_APPS_API_CHECK_H
#define TESTS_E2E_APPS_API_CHECK_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tsnet.h"

enum { UP_S = 60 };

static const char *url, *key;

static void check_at(int line, const char *what, int is_true,
		     struct tsnet *ts)
{
	if (is_true)
		return;
	fprintf(stderr, "%s:%d: %s: %s\n", __BASE_FILE__, line, what,
		ts ? tsnet_errmsg(ts) : "");
	_exit(1);
}
#define CHECK(ts, x) check_at(__LINE__, #x, !!(x), ts)
#define CHECK_CODE(ts, code, x)                                                \
	do {                                                                   \
		long got_ = (long)(x);                                         \
		if (got_ != (code))                                            \
			fprintf(stderr, "got %ld\n", got_);                    \
		check_at(__LINE__, #x " is " #code, got_ == (code), ts);       \
	} while (0)
#define CHECK_SAID(ts, text)                                                   \
	check_at(__LINE__, text, strstr(tsnet_errmsg(ts), text) != NULL, ts)

static inline struct tsnet *new_server(const char *name, const char *auth_key)
{
	struct tsnet *ts = tsnet_new();

	CHECK(NULL, ts);
	CHECK_CODE(ts, 0, tsnet_set(ts, "hostname", name));
	CHECK_CODE(ts, 0, tsnet_set(ts, "control_url", url));
	CHECK_CODE(ts, 0, tsnet_set(ts, "auth_key", auth_key));
	CHECK_CODE(ts, 0, tsnet_set(ts, "state_dir", name));
	return ts;
}

static inline struct tsnet *up(const char *name)
{
	struct tsnet *ts = new_server(name, key);

	CHECK_CODE(ts, 0, tsnet_up(ts, UP_S));
	return ts;
}

static inline void says(int from, int to, const char *text)
{
	char got[64] = "";

	CHECK_CODE(NULL, (long)strlen(text),
		   write(from, text, strlen(text)));
	CHECK_CODE(NULL, (long)strlen(text), read(to, got, sizeof(got)));
	CHECK(NULL, strcmp(got, text) == 0);
}

#endif
