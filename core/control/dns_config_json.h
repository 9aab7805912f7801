/* SPDX-License-Identifier: BSD-3-Clause
 * dns_config_json.h - read a DNSConfig
 * Source: tailcfg/tailcfg.go (DNSConfig)
 */
#ifndef CORE_CONTROL_DNS_CONFIG_JSON_H
#define CORE_CONTROL_DNS_CONFIG_JSON_H

#include <jansson.h>

#include "core/model/netmap.h"

/* json: kept by the result. 0, -EBADMSG, -ENOMEM. */
int ts_dns_config_from_json(json_t *json, struct ts_dns_config **out);

#endif
