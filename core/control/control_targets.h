/* SPDX-License-Identifier: BSD-3-Clause
 * control_targets.h - which ports of the control server to try, and when
 * Source: PROTOCOL 2.2; control/ts2021/client.go, control/controlhttp
 */
#ifndef CORE_CONTROL_CONTROL_TARGETS_H
#define CORE_CONTROL_CONTROL_TARGETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/control/control_client.h"

enum { TS_CONTROL_TARGETS_MAX = 2 };

/* A control URL taken apart. */
struct ts_control_url {
	char base[512];	 /* without trailing slashes */
	char host[256];	 /* an IPv6 address without brackets */
	char authority[300]; /* as in the URL: host[:port] */
	char path[256];	 /* before "/machine/..."; usually empty */
	uint16_t port;	 /* 0: not said */
	bool is_https;
};

/* 0, -EBADMSG (not http or https, no host, a bad port), -EMSGSIZE. */
int ts_control_url_parse(const char *text, struct ts_control_url *out);
/* Returns how many of out are filled, in the order of their start. force_https:
 * skip plain HTTP where there is an HTTPS port. */
size_t ts_control_targets(
	const struct ts_control_url *url, bool force_https,
	struct ts_control_target out[static TS_CONTROL_TARGETS_MAX]);

#endif
