/* SPDX-License-Identifier: BSD-3-Clause
 * name_table.h - names to the addresses that stand for them
 *
 * Several entries may share a name (two records, or a record and a node); each
 * comes from one owner and leaves with it.
 */
#ifndef CORE_DNS_NAME_TABLE_H
#define CORE_DNS_NAME_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/addr.h"
#include "core/base/key_map.h"

struct ts_name_entry {
	struct ts_name_entry *next_same_hash;
	char *name; /* lower case, without trailing dot */
	struct ts_ip *addrs;
	size_t addr_count;
	bool owns_subdomains; /* answers for every name below it */
};

struct ts_name_table {
	struct ts_key_map by_hash;
	uint8_t key[16];
};

void ts_name_table_init(struct ts_name_table *t);
/* The entries are their owners'. */
void ts_name_table_deinit(struct ts_name_table *t);
int ts_name_table_add(struct ts_name_table *t, struct ts_name_entry *entry);
void ts_name_table_remove(struct ts_name_table *t, struct ts_name_entry *entry);
/* The first entry with that name, then each further one. */
struct ts_name_entry *ts_name_table_first(const struct ts_name_table *t,
					  const char *name);
struct ts_name_entry *ts_name_table_next(const struct ts_name_entry *entry);

#endif
