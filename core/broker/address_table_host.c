/* SPDX-License-Identifier: BSD-3-Clause
 * address_table_host.c - the write side of the address table
 *
 * One writer, the host's loop thread. The memfd is mapped writable first and
 * sealed afterwards: F_SEAL_FUTURE_WRITE (Linux 5.1) refuses every later
 * writable mapping and write(), whoever holds the fd. What is handed out is a
 * second, read-only descriptor; on kernels without the seal that one alone
 * protects the table against accidents, not against a program of the same
 * uid.
 *
 * Open addressing with linear probing. Removing leaves a tombstone, unless
 * the slot behind it is free: then the tombstones before it go too, so that a
 * table that was once full becomes fast again. Limit: 3/4 of the slots, and
 * no key further than TS_TABLE_PROBE_MAX from its home: -ENOSPC.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/broker/address_table.h"
#include "core/broker/table_words.h"

enum { FLOWS_MAX = TS_TABLE_FLOW_CAP / 4 * 3 };

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

struct ts_table {
	struct ts_table_layout *layout; /* writable; programs see a copy */
	int fd;				/* read-only */
	uint32_t flow_count;
};

static void store_words(void *to, const void *from, size_t len)
{
	const uint8_t *src = from;
	uint32_t *dst = to;

	for (size_t i = 0; i < len / 4; i++) {
		uint32_t word;

		memcpy(&word, src + 4 * i, sizeof(word));
		__atomic_store_n(&dst[i], word, __ATOMIC_RELEASE);
	}
}

static void store_stable(_Atomic uint32_t *seq, void *to, const void *from,
			 size_t len)
{
	uint32_t now = atomic_load_explicit(seq, memory_order_relaxed);

	atomic_store_explicit(seq, now + 1, memory_order_relaxed);
	store_words(to, from, len);
	atomic_store_explicit(seq, now + 2, memory_order_release);
}

/* Closes fd and returns one that cannot be written to, or a negative errno. */
static int seal(int fd)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	bool is_write_sealed =
		fcntl(fd, F_ADD_SEALS, seals | F_SEAL_FUTURE_WRITE) == 0;
	char path[48];
	int read_only;

	if (!is_write_sealed && fcntl(fd, F_ADD_SEALS, seals) != 0)
		goto fail;
	/* The thread's, not the process's: an engine inside a program has
	 * descriptors of its own, and there this number is another file. */
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	if (read_only >= 0) {
		close(fd);
		return read_only;
	}
	if (is_write_sealed) /* no /proc here: the seal is enough */
		return fd;
fail:
	close(fd);
	return -EPERM;
}

static struct ts_table_layout *make_file(int *out_fd)
{
	struct ts_table_layout *layout;
	int fd = memfd_create("tsnet-table", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return NULL;
	if (ftruncate(fd, (off_t)ts_table_bytes()) != 0) {
		close(fd);
		return NULL;
	}
	layout = mmap(NULL, ts_table_bytes(), PROT_READ | PROT_WRITE,
		      MAP_SHARED, fd, 0);
	if (layout == MAP_FAILED) {
		close(fd);
		return NULL;
	}
	*out_fd = seal(fd);
	if (*out_fd < 0) {
		munmap(layout, ts_table_bytes());
		return NULL;
	}
	return layout;
}

struct ts_table *ts_table_new(void)
{
	struct ts_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->layout = make_file(&t->fd);
	if (!t->layout) {
		free(t);
		return NULL;
	}
	t->layout->magic = TS_TABLE_MAGIC;
	t->layout->version = TS_TABLE_VERSION;
	t->layout->flow_cap = TS_TABLE_FLOW_CAP;
	t->layout->slot_size = sizeof(struct ts_table_slot);
	return t;
}

void ts_table_free(struct ts_table *t)
{
	if (!t)
		return;
	munmap(t->layout, ts_table_bytes());
	close(t->fd);
	free(t);
}

int ts_table_fd(const struct ts_table *t)
{
	return t->fd;
}

const struct ts_table_layout *ts_table_layout(const struct ts_table *t)
{
	return t->layout;
}

void ts_table_set_info(struct ts_table *t, const struct ts_table_info *info,
		       const struct ts_prefix *prefixes,
		       const struct ts_table_interface *interfaces)
{
	struct {
		struct ts_table_info info;
		struct ts_prefix prefixes[TS_TABLE_PREFIX_MAX];
		struct ts_table_interface interfaces[TS_TABLE_NODES_MAX];
	} next = {.info = *info};

	for (size_t i = 0; i < TS_TABLE_PREFIX_MAX; i++)
		if (i < info->prefix_count ||
		    i >= (size_t)(TS_TABLE_PREFIX_MAX - info->direct_count))
			next.prefixes[i] = prefixes[i];
	for (size_t i = 0; i < info->interface_count; i++)
		next.interfaces[i] = interfaces[i];
	store_stable(&t->layout->info_seq, &t->layout->info, &next,
		     sizeof(next));
}

static struct ts_table_slot *slot_at(const struct ts_table *t, uint32_t i)
{
	return &t->layout->slots[i & TS_TABLE_SLOT_MASK];
}

static void write_slot(struct ts_table_slot *slot,
		       const struct ts_flow_key *key,
		       const struct ts_flow_entry *entry)
{
	struct ts_table_slot next;

	memset(&next, 0, sizeof(next));
	next.key = *key;
	next.entry = *entry;
	store_stable(&slot->seq, &slot->key, &next.key, TS_TABLE_SLOT_PAYLOAD);
}

static bool is_vacant(const struct ts_table_slot *slot)
{
	return slot->entry.kind == TS_FLOW_NONE ||
	       slot->entry.kind == TS_FLOW_DEAD;
}

/* The key's slot number, or UINT32_MAX; *vacant gets the first slot that a
 * new key could take. */
static uint32_t find_slot(const struct ts_table *t,
			  const struct ts_flow_key *key, uint32_t *vacant)
{
	uint32_t home = ts_table_home(key);

	*vacant = UINT32_MAX;
	for (uint32_t i = home; i != home + TS_TABLE_PROBE_MAX; i++) {
		const struct ts_table_slot *slot = slot_at(t, i);

		if (is_vacant(slot) && *vacant == UINT32_MAX)
			*vacant = i;
		if (slot->entry.kind == TS_FLOW_NONE)
			break;
		if (!is_vacant(slot) && ts_table_key_equal(&slot->key, key))
			return i;
	}
	return UINT32_MAX;
}

int ts_table_put(struct ts_table *t, const struct ts_flow_key *key,
		 const struct ts_flow_entry *entry)
{
	uint32_t vacant;
	uint32_t found = find_slot(t, key, &vacant);

	if (found != UINT32_MAX) {
		write_slot(slot_at(t, found), key, entry);
		return 0;
	}
	if (vacant == UINT32_MAX || t->flow_count >= FLOWS_MAX)
		return -ENOSPC;
	write_slot(slot_at(t, vacant), key, entry);
	t->flow_count++;
	return 0;
}

void ts_table_remove(struct ts_table *t, const struct ts_flow_key *key)
{
	const struct ts_flow_key no_key = {0};
	const struct ts_flow_entry dead = {.kind = TS_FLOW_DEAD};
	const struct ts_flow_entry none = {.kind = TS_FLOW_NONE};
	uint32_t vacant;
	uint32_t i = find_slot(t, key, &vacant);

	if (i == UINT32_MAX)
		return;
	t->flow_count--;
	write_slot(slot_at(t, i), &no_key, &dead);
	if (slot_at(t, i + 1)->entry.kind != TS_FLOW_NONE)
		return;
	/* No search goes on past a free slot, so none needs the tombstones
	 * that end at one. */
	while (slot_at(t, i)->entry.kind == TS_FLOW_DEAD)
		write_slot(slot_at(t, i--), &no_key, &none);
}
