/* SPDX-License-Identifier: BSD-3-Clause
 * derp_map_json.h - read a DERPMap and merge it with the one before
 * Source: tailcfg/derpmap.go, control/controlclient/map.go
 */
#ifndef CORE_CONTROL_DERP_MAP_JSON_H
#define CORE_CONTROL_DERP_MAP_JSON_H

#include <jansson.h>

#include "core/model/netmap.h"

/* json: a DERPMap object, kept by the result. old: what it is to be merged
 * with (PROTOCOL 4.5), or NULL; not changed. 0, -EBADMSG, -ENOMEM. */
int ts_derp_map_from_json(json_t *json, const struct ts_derp_map *old,
			  struct ts_derp_map **out);

#endif
