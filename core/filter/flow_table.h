/* SPDX-License-Identifier: BSD-3-Clause
 * flow_table.h - the flows that we started and whose answers may come in
 */
#ifndef CORE_FILTER_FLOW_TABLE_H
#define CORE_FILTER_FLOW_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/addr.h"

/* When full, the flow that was used least recently is forgotten. */
enum { TS_FLOWS_MAX = 512, TS_FLOW_BUCKETS = 1024 };

struct ts_flow {
	struct ts_ip src, dst;
	uint16_t src_port, dst_port;
	uint8_t proto;
};

struct ts_flow_entry {
	struct ts_flow flow;
	uint16_t bucket;
	uint16_t hash_next;    /* index + 1; 0: end */
	uint16_t newer, older; /* index + 1; 0: end */
};

struct ts_flow_table {
	struct ts_flow_entry entries[TS_FLOWS_MAX];
	uint16_t buckets[TS_FLOW_BUCKETS]; /* index + 1; 0: empty */
	uint16_t newest, oldest;           /* index + 1; 0: none */
	uint16_t count;
	uint32_t seed;
};

void ts_flow_table_init(struct ts_flow_table *table);
void ts_flow_table_add(struct ts_flow_table *table, const struct ts_flow *flow);
/* Also makes it the most recent one. */
bool ts_flow_table_has(struct ts_flow_table *table, const struct ts_flow *flow);

#endif
