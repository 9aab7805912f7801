/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_address_table.c - the table of a host that is not what it should be
 *
 * A program believes neither the file that it is given (first byte even: the
 * input is the file), nor what is in a table that was good when it was mapped
 * (odd: the input is written over the header, and over the slots where the
 * keys belong).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/broker/address_table.h"
#include "core/broker/table_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_all(const struct ts_table_layout *table)
{
	struct ts_flow_key key = {.proto = 6};
	struct ts_flow_entry entry;
	struct ts_table_info info;
	uint32_t at = TS_TABLE_FLOW_CAP - 2 * TS_TABLE_PROBE_MAX;

	(void)ts_table_read_info(table, &info);
	(void)ts_table_find(table, &key, &entry);
	while (ts_table_next_listener(table, &at, &key))
		;
	at = UINT32_MAX;
	(void)ts_table_next_listener(table, &at, &key);
	(void)ts_table_claims(table, &key.local.ip);
	(void)ts_table_is_own(table, &key.remote.ip);
	(void)ts_table_mtu(table);
}

static void map_file(const uint8_t *data, size_t len)
{
	const struct ts_table_layout *table;
	int fd = memfd_create("table", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		abort();
	/* The right length, once in a while. */
	if (len > 0 && data[len - 1] % 16 == 0 &&
	    ftruncate(fd, (off_t)ts_table_bytes()))
		abort();
	table = ts_table_map(fd, &err);
	if (table) {
		read_all(table);
		ts_table_unmap(table);
	}
	close(fd);
}

/* Odd sequence numbers only make a reader wait. */
static void still(struct ts_table_layout *table, uint32_t first)
{
	table->info_seq &= ~1u;
	for (uint32_t i = 0; i < TS_TABLE_PROBE_MAX; i++)
		table->slots[(first + i) % TS_TABLE_FLOW_CAP].seq &= ~1u;
}

static void write_over(const uint8_t *data, size_t len)
{
	static struct ts_table_layout *table;
	struct ts_flow_key key = {.proto = 6};
	uint32_t home = ts_table_home(&key);
	size_t room = (TS_TABLE_FLOW_CAP - home) * sizeof(table->slots[0]);

	if (!table)
		table = calloc(1, ts_table_bytes());
	if (!table)
		abort();
	memcpy(&table->info, data,
	       len < sizeof(table->info) ? len : sizeof(table->info));
	memcpy(table->prefixes, data,
	       len < sizeof(table->prefixes) ? len : sizeof(table->prefixes));
	memcpy(&table->slots[home], data, len < room ? len : room);
	still(table, home);
	still(table, TS_TABLE_FLOW_CAP - TS_TABLE_PROBE_MAX);
	read_all(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len < 1)
		return 0;
	if (data[0] % 2 == 0)
		map_file(data + 1, len - 1);
	else
		write_over(data + 1, len - 1);
	return 0;
}
