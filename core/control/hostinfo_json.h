/* SPDX-License-Identifier: BSD-3-Clause
 * hostinfo_json.h - write the Hostinfo that we tell the control server
 * Source: tailcfg/tailcfg.go (Hostinfo, NetInfo), hostinfo/hostinfo.go
 */
#ifndef CORE_CONTROL_HOSTINFO_JSON_H
#define CORE_CONTROL_HOSTINFO_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/control/control_client.h"

struct ts_hostinfo {
	const struct ts_control_config *config;
	const struct ts_net_info *net_info; /* NULL: not known yet */
	uint16_t peerapi4_port, peerapi6_port; /* 0: none */
	const struct ts_control_serve *serve; /* NULL: nothing */
};

/* A new object, or NULL when out of memory. */
json_t *ts_hostinfo_to_json(const struct ts_hostinfo *hostinfo);
/* "x86_64" -> "amd64" and so on; an unknown name stays as it is. */
const char *ts_go_arch(const char *machine);

#endif
