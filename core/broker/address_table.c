/* SPDX-License-Identifier: BSD-3-Clause
 * address_table.c - the read side of the address table
 *
 * Runs inside unmodified programs, in their signal handlers too: no malloc,
 * no lock. A flow is found by probing at most TS_TABLE_PROBE_MAX
 * slots from the key's home; each slot is copied out between two looks at its
 * sequence number. A writer that died half-way leaves an odd number behind;
 * after SEQ_TRIES looks the reader goes on as if the slot held another key.
 * The waits in between are short, bounded, and nearly never reached.
 *
 * The mapping is checked once: magic, version, sizes, and the seal that keeps
 * the file from shrinking, since a shrunken one would kill the program with
 * SIGBUS. After that no number from inside the table is used as an index
 * without a bound of our own.
 */
#include "core/broker/address_table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/broker/table_words.h"

/* Spinning outlasts a writer that runs, waiting one that has lost its turn in
 * the middle of a write; together some 20 ms. */
enum { SEQ_SPINS = 100, SEQ_WAITS = 20, SEQ_WAIT_NS = 1000000 };
enum { SEQ_TRIES = SEQ_SPINS + SEQ_WAITS };

#ifndef F_GET_SEALS
#define F_GET_SEALS 1034
#define F_SEAL_SHRINK 0x0002
#endif

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *at = data;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ at[i]) * 0x100000001b3u; /* FNV-1a */
	return hash;
}

static uint64_t mix_addr(uint64_t hash, const struct ts_addr *addr)
{
	hash = mix(hash, addr->ip.bytes, TS_IP_LEN);
	return mix(hash, &addr->port, sizeof(addr->port));
}

uint32_t ts_table_home(const struct ts_flow_key *key)
{
	uint64_t hash = mix(0xcbf29ce484222325u, &key->proto, 1);

	hash = mix_addr(hash, &key->local);
	hash = mix_addr(hash, &key->remote);
	/* FNV's low bits are its weak ones, and neighbours must spread. */
	hash ^= hash >> 32;
	hash *= 0x9e3779b97f4a7c15u;
	return (uint32_t)(hash >> 40) & TS_TABLE_SLOT_MASK;
}

bool ts_table_key_equal(const struct ts_flow_key *a,
			const struct ts_flow_key *b)
{
	return a->proto == b->proto && ts_addr_equal(&a->local, &b->local) &&
	       ts_addr_equal(&a->remote, &b->remote);
}

size_t ts_table_bytes(void)
{
	return sizeof(struct ts_table_layout) +
	       TS_TABLE_FLOW_CAP * sizeof(struct ts_table_slot);
}

static void load_words(void *out, const void *from, size_t len)
{
	const uint32_t *src = from;
	uint8_t *dst = out;

	for (size_t i = 0; i < len / 4; i++) {
		uint32_t word = __atomic_load_n(&src[i], __ATOMIC_ACQUIRE);

		memcpy(dst + 4 * i, &word, sizeof(word));
	}
}

static void wait_for_writer(int tries)
{
	const struct timespec a_turn = {.tv_nsec = SEQ_WAIT_NS};
	int saved_errno = errno;

	if (tries >= SEQ_SPINS)
		nanosleep(&a_turn, NULL);
	errno = saved_errno;
}

/* The sequence number of a moment at which nobody wrote; false: none soon. */
static bool begin_read(const _Atomic uint32_t *seq, int *tries,
		       uint32_t *before)
{
	for (; *tries < SEQ_TRIES; (*tries)++) {
		*before = atomic_load_explicit(seq, memory_order_acquire);
		if (!(*before & 1))
			return true;
		wait_for_writer(*tries);
	}
	return false;
}

/* Was what was read since begin_read() all of one moment? */
static bool end_read(const _Atomic uint32_t *seq, int *tries, uint32_t before)
{
	(*tries)++;
	return atomic_load_explicit(seq, memory_order_relaxed) == before;
}

/* Copies len bytes that seq protects; false when they never stood still. */
static bool load_stable(const _Atomic uint32_t *seq, void *out,
			const void *from, size_t len)
{
	uint32_t before;
	int tries = 0;

	while (begin_read(seq, &tries, &before)) {
		load_words(out, from, len);
		if (end_read(seq, &tries, before))
			return true;
	}
	return false;
}

static bool is_valid_file(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	/* Not fstat(): its symbol is younger than our oldest libc. */
	return seals != -1 && (seals & F_SEAL_SHRINK) &&
	       lseek(fd, 0, SEEK_END) == (off_t)ts_table_bytes();
}

static bool is_valid_layout(const struct ts_table_layout *t)
{
	return t->magic == TS_TABLE_MAGIC && t->version == TS_TABLE_VERSION &&
	       t->flow_cap == TS_TABLE_FLOW_CAP &&
	       t->slot_size == sizeof(struct ts_table_slot);
}

const struct ts_table_layout *ts_table_map(int fd, int *err)
{
	const struct ts_table_layout *t;

	*err = -EBADMSG;
	if (!is_valid_file(fd))
		return NULL;
	t = mmap(NULL, ts_table_bytes(), PROT_READ, MAP_SHARED, fd, 0);
	if (t == MAP_FAILED) {
		*err = -ENOMEM;
		return NULL;
	}
	if (!is_valid_layout(t)) {
		ts_table_unmap(t);
		return NULL;
	}
	*err = 0;
	return t;
}

void ts_table_unmap(const struct ts_table_layout *t)
{
	if (t)
		munmap((void *)(uintptr_t)t, ts_table_bytes());
}

bool ts_table_read_info(const struct ts_table_layout *t,
			struct ts_table_info *out)
{
	if (!load_stable(&t->info_seq, out, &t->info, sizeof(*out)))
		return false;
	if (out->prefix_count > TS_TABLE_PREFIX_MAX)
		out->prefix_count = TS_TABLE_PREFIX_MAX;
	out->suffix[TS_TABLE_SUFFIX_CAP - 1] = '\0';
	out->broker_path[TS_TABLE_PATH_CAP - 1] = '\0';
	out->broker_abstract[TS_TABLE_PATH_CAP - 1] = '\0';
	return true;
}

/* How one slot looked at one moment. */
struct slot_copy {
	struct ts_flow_key key;
	struct ts_flow_entry entry;
};

_Static_assert(sizeof(struct slot_copy) == TS_TABLE_SLOT_PAYLOAD,
	       "the copy is the payload");
_Static_assert(offsetof(struct slot_copy, entry) ==
		       offsetof(struct ts_table_slot, entry) -
			       offsetof(struct ts_table_slot, key),
	       "the copy is the payload");

bool ts_table_next_listener(const struct ts_table_layout *t, uint32_t *at,
			    struct ts_flow_key *out)
{
	while (*at < TS_TABLE_FLOW_CAP) {
		const struct ts_table_slot *slot = &t->slots[(*at)++];
		struct slot_copy copy;

		/* Most were never written. */
		if (atomic_load_explicit(&slot->seq, memory_order_relaxed) ==
			    0 ||
		    !load_stable(&slot->seq, &copy, &slot->key, sizeof(copy)) ||
		    copy.entry.kind != TS_FLOW_LISTEN)
			continue;
		*out = copy.key;
		return true;
	}
	return false;
}

bool ts_table_find(const struct ts_table_layout *t,
		   const struct ts_flow_key *key, struct ts_flow_entry *out)
{
	uint32_t home = ts_table_home(key);

	for (uint32_t i = 0; i < TS_TABLE_PROBE_MAX; i++) {
		const struct ts_table_slot *slot =
			&t->slots[(home + i) & TS_TABLE_SLOT_MASK];
		struct slot_copy copy;

		if (!load_stable(&slot->seq, &copy, &slot->key, sizeof(copy)))
			continue;
		if (copy.entry.kind == TS_FLOW_NONE)
			return false;
		if (copy.entry.kind == TS_FLOW_DEAD ||
		    !ts_table_key_equal(&copy.key, key))
			continue;
		*out = copy.entry;
		return true;
	}
	return false;
}

/* On the path of every connect of every program, in signal handlers, too: only
 * as many as there are, a few at a time. Four of them are whole words. */
static bool is_in_range(const struct ts_table_layout *t, size_t first,
			size_t end, const struct ts_ip *ip)
{
	struct ts_prefix some[4];

	for (size_t i = first; i < end; i++) {
		if (i == first || i % 4 == 0)
			load_words(some, &t->prefixes[i - i % 4],
				   sizeof(some));
		if (some[i % 4].bits <= 8 * TS_IP_LEN &&
		    ts_prefix_contains(&some[i % 4], ip))
			return true;
	}
	return false;
}

static size_t load_count(const uint8_t *count)
{
	size_t n = __atomic_load_n(count, __ATOMIC_ACQUIRE);

	return n < TS_TABLE_PREFIX_MAX ? n : TS_TABLE_PREFIX_MAX;
}

static bool claims_rest(const struct ts_table_layout *t)
{
	return __atomic_load_n(&t->info.claims_rest, __ATOMIC_ACQUIRE);
}

static bool is_in_prefixes(const struct ts_table_layout *t,
			   const struct ts_ip *ip)
{
	if (is_in_range(t, 0, load_count(&t->info.prefix_count), ip))
		return true;
	return claims_rest(t) &&
	       !is_in_range(t,
			    TS_TABLE_PREFIX_MAX -
				    load_count(&t->info.direct_count),
			    TS_TABLE_PREFIX_MAX, ip);
}

bool ts_table_claims(const struct ts_table_layout *t, const struct ts_ip *ip)
{
	struct ts_ip own[2];
	uint32_t before;
	int tries = 0;
	bool is_in;

	if (ts_ip_equal(ip, &TS_SERVICE_IP) ||
	    ts_ip_equal(ip, &TS_SERVICE_IP6))
		return true;
	while (begin_read(&t->info_seq, &tries, &before)) {
		is_in = is_in_prefixes(t, ip);
		load_words(own, &t->info.own_v4, sizeof(own));
		if (end_read(&t->info_seq, &tries, before))
			return is_in || (ts_ip_is_zero(&own[0]) &&
					 ts_ip_is_zero(&own[1]) &&
					 ts_ip_is_tailscale(ip));
	}
	/* A host that died while it wrote must not send its programs' private
	 * traffic to the host network. */
	return ts_ip_is_tailscale(ip) || claims_rest(t);
}

bool ts_table_get_interface(const struct ts_table_layout *t, unsigned i,
			    struct ts_table_interface *out)
{
	return i < __atomic_load_n(&t->info.interface_count,
				   __ATOMIC_ACQUIRE) &&
	       i < TS_TABLE_NODES_MAX &&
	       load_stable(&t->info_seq, out, &t->interfaces[i], sizeof(*out));
}

bool ts_table_is_own(const struct ts_table_layout *t, const struct ts_ip *ip)
{
	struct ts_table_interface it;

	for (unsigned i = 0;
	     !ts_ip_is_unspecified(ip) && ts_table_get_interface(t, i, &it);
	     i++)
		if (ts_ip_equal(ip, &it.v4) || ts_ip_equal(ip, &it.v6))
			return true;
	return false;
}

uint16_t ts_table_mtu(const struct ts_table_layout *t)
{
	return __atomic_load_n(&t->info.mtu, __ATOMIC_ACQUIRE);
}

uint16_t ts_table_datagram_port(const struct ts_table_layout *t)
{
	return __atomic_load_n(&t->info.datagram_port, __ATOMIC_ACQUIRE);
}
