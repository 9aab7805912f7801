/* SPDX-License-Identifier: BSD-3-Clause
 * test_address_table.c - the sealed table, seen from both sides
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/broker/address_table.h"

static struct ts_table *table;
static const struct ts_table_layout *view; /* as a program sees it */

static int set_up(void **state)
{
	int err;

	(void)state;
	table = ts_table_new();
	if (!table)
		return -1;
	view = ts_table_map(ts_table_fd(table), &err);
	return view ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	ts_table_unmap(view);
	ts_table_free(table);
	return 0;
}

static struct ts_flow_key key_of(uint32_t n)
{
	struct ts_flow_key key = {
		.proto = 6,
		.local = {.ip = ts_ip_from_v4_host(0x7f000000 + n),
			  .port = (uint16_t)(n * 7)},
		.remote = {.ip = ts_ip_from_v4_host(0x7f010203),
			   .port = 40000},
	};

	return key;
}

static struct ts_flow_entry entry_of(uint32_t n)
{
	struct ts_flow_entry entry = {
		.kind = TS_FLOW_CONNECT,
		.state = TS_FLOW_FAILED,
		.error = (int32_t)n,
		.tailnet_local = {.ip = ts_ip_from_v4_host(n),
				  .port = (uint16_t)n},
		.tailnet_remote = {.ip = ts_ip_from_v4_host(~n),
				   .port = (uint16_t)~n},
	};

	return entry;
}

/* Field by field: padding may differ. */
static bool is_same(const struct ts_flow_entry *a,
		    const struct ts_flow_entry *b)
{
	return a->kind == b->kind && a->state == b->state &&
	       a->error == b->error &&
	       ts_addr_equal(&a->tailnet_local, &b->tailnet_local) &&
	       ts_addr_equal(&a->tailnet_remote, &b->tailnet_remote);
}

static bool is_there(uint32_t n, struct ts_flow_entry *got)
{
	struct ts_flow_key key = key_of(n);

	return ts_table_find(view, &key, got);
}

static void put_find_replace_remove(void **state)
{
	struct ts_flow_key key = key_of(5);
	struct ts_flow_entry entry = entry_of(5), got;

	(void)state;
	assert_false(ts_table_find(view, &key, &got));
	assert_int_equal(ts_table_put(table, &key, &entry), 0);
	assert_true(ts_table_find(view, &key, &got));
	assert_true(is_same(&got, &entry));
	entry.error = 77;
	assert_int_equal(ts_table_put(table, &key, &entry), 0);
	assert_true(ts_table_find(view, &key, &got));
	assert_int_equal(got.error, 77);
	ts_table_remove(table, &key);
	assert_false(ts_table_find(view, &key, &got));
	ts_table_remove(table, &key); /* twice is harmless */
	assert_false(ts_table_find(view, &key, &got));
}

static void keys_differ_in_every_field(void **state)
{
	struct ts_flow_key key = key_of(1), other;
	struct ts_flow_entry entry = entry_of(1), got;

	(void)state;
	assert_int_equal(ts_table_put(table, &key, &entry), 0);
	other = key;
	other.proto = 17;
	assert_false(ts_table_find(view, &other, &got));
	other = key;
	other.local.port++;
	assert_false(ts_table_find(view, &other, &got));
	other = key;
	other.remote.ip.bytes[15]++;
	assert_false(ts_table_find(view, &other, &got));
}

static void full_table_is_enospc_and_recovers(void **state)
{
	struct ts_flow_entry got;
	uint32_t added = 0, n;
	uint32_t missing = 0;

	(void)state;
	for (n = 1; n <= TS_TABLE_FLOW_CAP; n++) {
		struct ts_flow_key key = key_of(n);
		struct ts_flow_entry entry = entry_of(n);
		int err = ts_table_put(table, &key, &entry);

		assert_true(err == 0 || err == -ENOSPC);
		if (err == 0)
			added++;
		else
			assert_false(ts_table_find(view, &key, &got));
	}
	assert_in_range(added, TS_TABLE_FLOW_CAP / 2,
			TS_TABLE_FLOW_CAP / 4 * 3);
	for (n = 1; n <= TS_TABLE_FLOW_CAP; n++)
		if (is_there(n, &got))
			assert_int_equal(got.error, n);
		else
			missing++;
	assert_int_equal(missing, TS_TABLE_FLOW_CAP - added);
	for (n = 1; n <= TS_TABLE_FLOW_CAP; n++) {
		struct ts_flow_key key = key_of(n);

		ts_table_remove(table, &key);
		assert_false(ts_table_find(view, &key, &got));
	}
	/* No tombstones are left to walk over. */
	for (n = 0; n < TS_TABLE_FLOW_CAP; n++)
		assert_int_equal(view->slots[n].entry.kind, TS_FLOW_NONE);
}

static void removing_one_keeps_its_neighbours(void **state)
{
	struct ts_flow_entry got;

	(void)state;
	for (uint32_t n = 1; n <= 30000; n++) {
		struct ts_flow_key key = key_of(n);
		struct ts_flow_entry entry = entry_of(n);

		assert_int_equal(ts_table_put(table, &key, &entry), 0);
	}
	for (uint32_t n = 1; n <= 30000; n += 2) {
		struct ts_flow_key key = key_of(n);

		ts_table_remove(table, &key);
	}
	for (uint32_t n = 1; n <= 30000; n++) {
		assert_int_equal(is_there(n, &got), n % 2 == 0);
		if (n % 2 == 0)
			assert_int_equal(got.error, n);
	}
}

static void info_goes_across(void **state)
{
	struct ts_table_info info = {
		.generation = 3,
		.rendezvous_port = 45678,
		.own_v4 = ts_ip_from_v4_host(0x64400001),
		.suffix = "tail1.ts.net",
		.broker_path = "/run/x",
	};
	struct ts_table_info got;

	(void)state;
	memset(info.token, 9, sizeof(info.token));
	ts_table_set_info(table, &info, NULL, NULL);
	assert_true(ts_table_read_info(view, &got));
	assert_memory_equal(&got, &info, sizeof(got));
}

static void each_node_has_an_interface(void **state)
{
	const struct ts_table_interface its[2] = {
		{.name = "tailscale0", .v4 = ts_ip_from_v4_host(0x64400001)},
		{.name = "tailscale1", .v4 = ts_ip_from_v4_host(0x64400002)}};
	const struct ts_ip nobody = ts_ip_from_v4_host(0x64400003);
	struct ts_table_info info = {.interface_count = 2};
	struct ts_table_interface got;

	(void)state;
	ts_table_set_info(table, &info, NULL, its);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(ts_table_get_interface(view, i, &got));
		assert_memory_equal(&got, &its[i], sizeof(got));
		assert_true(ts_table_is_own(view, &its[i].v4));
	}
	assert_false(ts_table_get_interface(view, 2, &got));
	assert_false(ts_table_is_own(view, &nobody));
	assert_false(ts_table_is_own(view, &TS_IP_ZERO));
}

static void wild_info_is_bounded(void **state)
{
	struct ts_table_layout *host =
		(struct ts_table_layout *)(uintptr_t)ts_table_layout(table);
	struct ts_table_interface its;
	struct ts_table_info got;

	(void)state;
	memset(&host->info, 0xff, sizeof(host->info));
	assert_true(ts_table_read_info(view, &got));
	assert_int_equal(got.prefix_count, TS_TABLE_PREFIX_MAX);
	assert_false(ts_table_get_interface(view, TS_TABLE_NODES_MAX, &its));
	assert_int_equal(got.suffix[TS_TABLE_SUFFIX_CAP - 1], 0);
	assert_int_equal(got.broker_path[TS_TABLE_PATH_CAP - 1], 0);
}

static bool claims(const char *text)
{
	struct ts_ip ip;

	assert_int_equal(ts_ip_parse(text, &ip), 0);
	return ts_table_claims(view, &ip);
}

static void prefixes_decide(void **state)
{
	struct ts_prefix prefixes[TS_TABLE_PREFIX_MAX];
	struct ts_table_info info = {0};

	(void)state;
	assert_true(claims("100.100.100.100"));
	assert_true(claims("fd7a:115c:a1e0::53"));
	assert_true(claims("100.64.0.5")); /* no netmap yet */
	assert_false(claims("100.115.92.5"));
	info.own_v4 = ts_ip_from_v4_host(0x64400001);
	ts_table_set_info(table, &info, prefixes, NULL);
	info.prefix_count = 3;
	assert_false(claims("100.64.0.5"));
	ts_prefix_parse("100.64.0.5/32", &prefixes[0]);
	ts_prefix_parse("fd7a:115c:a1e0::5/128", &prefixes[1]);
	ts_prefix_parse("10.9.0.0/16", &prefixes[2]);
	ts_table_set_info(table, &info, prefixes, NULL);
	assert_true(claims("100.64.0.5"));
	assert_true(claims("fd7a:115c:a1e0::5"));
	assert_true(claims("10.9.77.1"));
	assert_false(claims("10.10.0.1"));
	assert_false(claims("100.64.0.6"));
	info.prefix_count = TS_TABLE_PREFIX_MAX;
	for (size_t i = 0; i < TS_TABLE_PREFIX_MAX; i++)
		prefixes[i] = prefixes[2];
	ts_prefix_parse("192.168.1.0/24",
			&prefixes[TS_TABLE_PREFIX_MAX - 1]);
	ts_table_set_info(table, &info, prefixes, NULL);
	assert_true(claims("192.168.1.9"));
}

static void dead_writer_claims_the_static_prefixes(void **state)
{
	struct ts_table_layout *host =
		(struct ts_table_layout *)(uintptr_t)ts_table_layout(table);
	struct ts_table_info got;
	struct ts_flow_entry entry = entry_of(2), found;
	struct ts_flow_key key = key_of(2);

	(void)state;
	assert_int_equal(ts_table_put(table, &key, &entry), 0);
	atomic_fetch_add(&host->info_seq, 1);
	assert_false(ts_table_read_info(view, &got));
	assert_true(claims("100.64.0.6"));
	assert_true(claims("fd7a:115c:a1e0::6"));
	assert_false(claims("100.115.92.7"));
	assert_false(claims("192.168.1.9"));
	for (size_t i = 0; i < TS_TABLE_FLOW_CAP; i++)
		if (host->slots[i].entry.kind == TS_FLOW_CONNECT)
			atomic_fetch_add(&host->slots[i].seq, 1);
	assert_false(ts_table_find(view, &key, &found));
}

static void programs_cannot_write_or_resize(void **state)
{
	int fd = ts_table_fd(table);
	char path[64];
	int again;

	(void)state;
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			      fd, 0),
			 MAP_FAILED);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again >= 0) { /* the owner may open it, the seals still hold */
		assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				      MAP_SHARED, again, 0),
				 MAP_FAILED);
		assert_int_equal(pwrite(again, "x", 1, 0), -1);
		assert_int_equal(ftruncate(again, 0), -1);
		assert_int_equal(ftruncate(again, 1 << 28), -1);
		close(again);
	}
	assert_int_equal(view->magic, TS_TABLE_MAGIC);
}

static int fake_table(bool is_sealed, off_t size, uint32_t magic)
{
	int fd = memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint32_t head[4] = {magic, TS_TABLE_VERSION, TS_TABLE_FLOW_CAP,
			    sizeof(struct ts_table_slot)};

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, head, sizeof(head), 0), sizeof(head));
	assert_int_equal(ftruncate(fd, size), 0);
	if (is_sealed)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return fd;
}

static void check_map(int fd, int expected)
{
	int err = 1;
	const struct ts_table_layout *t = ts_table_map(fd, &err);

	assert_int_equal(err, expected);
	assert_int_equal(t != NULL, expected == 0);
	ts_table_unmap(t);
	close(fd);
}

static void foreign_files_are_badmsg(void **state)
{
	off_t size = (off_t)(sizeof(struct ts_table_layout) +
			     TS_TABLE_FLOW_CAP * sizeof(struct ts_table_slot));
	int pipe_fds[2];

	(void)state;
	check_map(fake_table(true, size, TS_TABLE_MAGIC), 0);
	check_map(fake_table(false, size, TS_TABLE_MAGIC), -EBADMSG);
	check_map(fake_table(true, size - 1, TS_TABLE_MAGIC), -EBADMSG);
	check_map(fake_table(true, size, 1), -EBADMSG);
	check_map(fake_table(true, 0, TS_TABLE_MAGIC), -EBADMSG);
	check_map(open("/dev/zero", O_RDONLY | O_CLOEXEC), -EBADMSG);
	assert_int_equal(pipe(pipe_fds), 0);
	close(pipe_fds[1]);
	check_map(pipe_fds[0], -EBADMSG);
	check_map(-1, -EBADMSG);
}

enum { RACE_KEYS = 8, RACE_ROUNDS = 20000 };

static void *read_all_the_time(void *arg)
{
	_Atomic bool *stop = arg;
	unsigned torn = 0;

	while (!atomic_load(stop)) {
		struct ts_table_info info;
		struct ts_flow_entry got;

		for (uint32_t n = 0; n < RACE_KEYS; n++) {
			if (!is_there(n, &got))
				continue;
			struct ts_flow_entry whole =
				entry_of((uint32_t)got.error);

			torn += !is_same(&got, &whole);
		}
		if (ts_table_read_info(view, &info))
			torn += info.generation != info.token[0] ||
				info.prefix_count != info.generation % 100;
		(void)ts_table_claims(view, &info.own_v4);
	}
	return (void *)(uintptr_t)torn;
}

static void readers_never_see_half_a_write(void **state)
{
	static const struct ts_prefix prefixes[TS_TABLE_PREFIX_MAX];
	_Atomic bool stop = false;
	pthread_t readers[2];
	void *torn;

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&readers[i], NULL,
						read_all_the_time, &stop),
				 0);
	for (uint32_t round = 1; round < RACE_ROUNDS; round++) {
		struct ts_flow_key key = key_of(round % RACE_KEYS);
		struct ts_flow_entry entry = entry_of(round);
		struct ts_table_info info = {.generation = round & 0xff};

		info.prefix_count = (uint8_t)(info.generation % 100);
		memset(info.token, (int)info.generation, sizeof(info.token));
		if (round % 11 == 0)
			ts_table_remove(table, &key);
		else
			assert_int_equal(ts_table_put(table, &key, &entry), 0);
		if (round % 8 == 0)
			ts_table_set_info(table, &info, prefixes, NULL);
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(readers[i], &torn), 0);
		assert_ptr_equal(torn, NULL);
	}
}

#define TABLE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TABLE_TEST(put_find_replace_remove),
		TABLE_TEST(keys_differ_in_every_field),
		TABLE_TEST(full_table_is_enospc_and_recovers),
		TABLE_TEST(removing_one_keeps_its_neighbours),
		TABLE_TEST(info_goes_across),
		TABLE_TEST(each_node_has_an_interface),
		TABLE_TEST(wild_info_is_bounded),
		TABLE_TEST(prefixes_decide),
		TABLE_TEST(dead_writer_claims_the_static_prefixes),
		TABLE_TEST(programs_cannot_write_or_resize),
		TABLE_TEST(foreign_files_are_badmsg),
		TABLE_TEST(readers_never_see_half_a_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
