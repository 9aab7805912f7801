/* SPDX-License-Identifier: BSD-3-Clause
 * map_lists.h - the lists of a MapResponse (private to map_json.c)
 */
#ifndef CORE_CONTROL_MAP_LISTS_H
#define CORE_CONTROL_MAP_LISTS_H

#include "core/base/wire.h"
#include "core/control/map_json.h"

/* Each reads its list from r in place of what msg had. 0, -EBADMSG, -ENOMEM. */
int ts_map_read_peers(struct ts_reader *r, struct ts_map_response *msg);
int ts_map_read_changed(struct ts_reader *r, struct ts_map_response *msg);
int ts_map_read_patches(struct ts_reader *r, struct ts_map_response *msg);
int ts_map_read_users(struct ts_reader *r, struct ts_map_response *msg);
/* null means "unchanged", [] means "now empty". */
int ts_map_read_packet_filter(struct ts_reader *r, struct ts_map_response *msg);
int ts_map_read_packet_filters(struct ts_reader *r,
			       struct ts_map_response *msg);
void ts_map_lists_deinit(struct ts_map_response *msg);

#endif
