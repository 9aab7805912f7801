/* SPDX-License-Identifier: BSD-3-Clause
 * vip_services.h - services with addresses of their own that this node hosts
 *
 * The node says which it offers (by the serve configuration and by a
 * preference), the control server which of them it may host, and at which
 * addresses ("service-host").
 * Source: ipn/ipnlocal/serve.go (vipServicesFromPrefsLocked), tailcfg/tailcfg.go
 *   (VIPService, ServiceIPMappings), ipn/serve.go (ServicePortRange)
 */
#ifndef CORE_SERVE_VIP_SERVICES_H
#define CORE_SERVE_VIP_SERVICES_H

#include "core/base/addr.h"
#include "core/serve/serve_config.h"

/* [VIPService], sorted by name; advertised: names of the preference, or NULL.
 * New; NULL: out of memory. */
json_t *ts_vip_services(const json_t *config, const json_t *advertised);
/* Of that list, as Hostinfo has it: "" for an empty one. 0 or -ENOMEM. */
int ts_vip_services_hash(const json_t *services,
			 char out[static TS_GO_HASH_CAP]);
/* "svc:" and a DNS label */
bool ts_vip_name_is_valid(const char *name);
/* The addresses of the services that may be hosted here, by the node's
 * capabilities: {name: [address]}, borrowed, or NULL. */
const json_t *ts_vip_mapping(const json_t *cap_map);
/* Whose address is it? NULL: no service's. */
const char *ts_vip_name_of(const json_t *mapping, const struct ts_ip *ip);

#endif
