/* SPDX-License-Identifier: BSD-3-Clause
 * stand_ins.c - addresses of ours for those that two tailnets have
 *
 * Tailnets number their nodes alike, so a name of one may have an address that
 * by the rules (node_choice.c) is another's. A program that asks for such a
 * name is told an address of a range that no network has (RFC 2544's, and a
 * private one of IPv6), which leads to that node and that address for as long
 * as it is known. What the program then asks of its sockets is what it was
 * told.
 *
 * They are given in turn, so that one that was forgotten does not soon mean
 * somebody else: of the 131,000 of IPv4 4,096 are in use at most, of a narrow
 * range all. The one used least goes, but never one that a flow has.
 */
#include "core/host/stand_ins.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/wire.h"
#include "core/crypto/secret.h"
#include "core/dns/dns_records.h"
#include "core/dns/dns_wire.h"
#include "core/host/node_choice.h"

enum {
	STAND_INS_MAX = 4096,
	REAL_KEY_LEN = 1 + TS_IP_LEN,
	LOW_BITS = 32, /* of an address, that count up */
	V4_LEN = 4,
	TRIES = STAND_INS_MAX + 3,
};

struct range {
	struct ts_prefix prefix;
	uint32_t next; /* the low bits of the next one */
	size_t count;  /* in use */
};

struct ts_stand_ins {
	struct range v4, v6;
	struct ts_key_map by_ip, by_real;
	struct ts_link list; /* the one used least first */
	size_t count;
};

static struct ts_prefix masked(const struct ts_prefix *p)
{
	struct ts_prefix out = {.bits = p->bits};

	for (unsigned bit = 0; bit < p->bits; bit++)
		out.ip.bytes[bit / 8] |=
			(uint8_t)(p->ip.bytes[bit / 8] & 0x80 >> bit % 8);
	return out;
}

int ts_stand_ins_open(struct ts_host *host, const struct ts_host_config *config)
{
	struct ts_stand_ins *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	host->stand_ins = all;
	all->v4.prefix = masked(&config->stand_in4);
	all->v6.prefix = masked(&config->stand_in6);
	all->v4.next = all->v6.next = 1;
	ts_list_init(&all->list);
	ts_key_map_init(&all->by_ip, TS_IP_LEN, ts_random_u64());
	ts_key_map_init(&all->by_real, REAL_KEY_LEN, ts_random_u64());
	return 0;
}

static void make_key(uint8_t key[static REAL_KEY_LEN],
		     const struct ts_member *member, const struct ts_ip *real)
{
	key[0] = (uint8_t)member->index;
	memcpy(key + 1, real->bytes, TS_IP_LEN);
}

static struct range *range_of(struct ts_stand_ins *all, const struct ts_ip *ip)
{
	return ts_ip_is_v4(ip) ? &all->v4 : &all->v6;
}

static void forget(struct ts_stand_ins *all, struct ts_stand_in *s)
{
	uint8_t key[REAL_KEY_LEN];

	make_key(key, s->member, &s->real);
	ts_key_map_take(&all->by_real, key);
	ts_key_map_take(&all->by_ip, s->ip.bytes);
	ts_list_remove(&s->link);
	all->count--;
	range_of(all, &s->ip)->count--;
	s->is_over = true;
	if (s->users == 0)
		free(s);
}

void ts_stand_ins_close(struct ts_host *host)
{
	struct ts_stand_ins *all = host->stand_ins;

	if (!all)
		return;
	while (!ts_list_is_empty(&all->list))
		forget(all,
		       TS_LINK_OWNER(all->list.next, struct ts_stand_in, link));
	ts_key_map_deinit(&all->by_ip);
	ts_key_map_deinit(&all->by_real);
	free(all);
	host->stand_ins = NULL;
}

void ts_stand_ins_fill(const struct ts_host *host, struct ts_prefix out[2])
{
	out[0] = host->stand_ins->v4.prefix;
	out[1] = host->stand_ins->v6.prefix;
}

bool ts_stand_ins_cover(const struct ts_host *host, const struct ts_ip *ip)
{
	const struct ts_stand_ins *all = host->stand_ins;

	return host->member_count > 1 &&
	       (ts_prefix_contains(&all->v4.prefix, ip) ||
		ts_prefix_contains(&all->v6.prefix, ip));
}

static void touch(struct ts_stand_ins *all, struct ts_stand_in *s)
{
	ts_list_remove(&s->link);
	ts_list_insert(&all->list, &s->link);
}

struct ts_stand_in *ts_stand_in_find(struct ts_host *host,
				     const struct ts_ip *ip)
{
	struct ts_stand_ins *all = host->stand_ins;
	struct ts_stand_in *s = ts_key_map_get(&all->by_ip, ip->bytes);

	if (s)
		touch(all, s);
	return s;
}

struct ts_stand_in *ts_stand_in_get(struct ts_stand_in *s)
{
	if (s)
		s->users++;
	return s;
}

void ts_stand_in_put(struct ts_stand_in *s)
{
	if (s && --s->users == 0 && s->is_over)
		free(s);
}

void ts_stand_ins_leave_node(const struct ts_member *member)
{
	struct ts_stand_ins *all = member->host->stand_ins;
	struct ts_link *at, *next;

	for (at = all->list.next; at != &all->list; at = next) {
		struct ts_stand_in *s =
			TS_LINK_OWNER(at, struct ts_stand_in, link);

		next = at->next;
		if (s->member == member)
			forget(all, s);
	}
}

/* -- new ones ------------------------------------------------------------- */

/* How many there are behind the prefix; 0: more than can be counted. */
static uint32_t size_of(const struct range *r)
{
	unsigned bits = 8 * TS_IP_LEN - r->prefix.bits;

	return bits < LOW_BITS ? (uint32_t)1 << bits : 0;
}

/* Neither the first nor the last, which are a network's own. */
static struct ts_ip next_ip(struct range *r)
{
	struct ts_ip ip = r->prefix.ip;
	uint32_t size = size_of(r);
	struct ts_reader low =
		ts_reader_init(ip.bytes + TS_IP_LEN - 4, sizeof(uint32_t));
	uint32_t number = ts_read_be32(&low) + r->next;
	struct ts_writer w =
		ts_writer_init(ip.bytes + TS_IP_LEN - 4, sizeof(uint32_t));

	ts_write_be32(&w, number);
	r->next++;
	if (r->next == (size ? size - 1 : UINT32_MAX))
		r->next = 1;
	return ip;
}

static bool pick_ip(struct ts_stand_ins *all, struct range *r,
		    struct ts_ip *out)
{
	for (int i = 0; i < TRIES; i++) {
		*out = next_ip(r);
		if (!ts_key_map_get(&all->by_ip, out->bytes))
			return true;
	}
	return false;
}

/* Neither is the network's first and last address counted. */
static bool is_used_up(const struct range *r)
{
	uint32_t size = size_of(r);

	return size > 0 && r->count >= size - 2;
}

/* false: flows have them all. */
static bool make_room(struct ts_stand_ins *all, const struct range *r)
{
	struct ts_link *at = all->list.next;
	bool is_narrow = is_used_up(r);

	if (!is_narrow && all->count < STAND_INS_MAX)
		return true;
	for (; at != &all->list; at = at->next) {
		struct ts_stand_in *s =
			TS_LINK_OWNER(at, struct ts_stand_in, link);

		if (s->users > 0 || (is_narrow && range_of(all, &s->ip) != r))
			continue;
		forget(all, s);
		return true;
	}
	return false;
}

static struct ts_stand_in *add(struct ts_stand_ins *all,
			       struct ts_member *member,
			       const struct ts_ip *real, const char *name)
{
	struct range *r = range_of(all, real);
	struct ts_stand_in *s =
		make_room(all, r) ? calloc(1, sizeof(*s)) : NULL;
	uint8_t key[REAL_KEY_LEN];

	if (!s || !pick_ip(all, r, &s->ip)) {
		free(s);
		return NULL;
	}
	s->member = member;
	s->real = *real;
	snprintf(s->name, sizeof(s->name), "%s", name);
	make_key(key, member, real);
	if (ts_key_map_put(&all->by_ip, s->ip.bytes, s)) {
		free(s);
		return NULL;
	}
	if (ts_key_map_put(&all->by_real, key, s)) {
		ts_key_map_take(&all->by_ip, s->ip.bytes);
		free(s);
		return NULL;
	}
	ts_list_insert(&all->list, &s->link);
	all->count++;
	r->count++;
	return s;
}

bool ts_stand_in_tell(struct ts_member *member, const char *name,
		      struct ts_ip *ip)
{
	struct ts_stand_ins *all = member->host->stand_ins;
	char real[TS_IP_TEXT_CAP], told[TS_IP_TEXT_CAP];
	uint8_t key[REAL_KEY_LEN];
	struct ts_stand_in *s;

	/* What is not the tailnet's at all leads where it always does. */
	if (ts_choice_is_own(member->host, member, ip) ||
	    !ts_choice_knows(member, ip))
		return true;
	make_key(key, member, ip);
	s = ts_key_map_get(&all->by_real, key);
	if (!s) {
		s = add(all, member, ip, name);
		if (!s)
			return false;
		log_debug("stand-in: %s for %s, node %s: %s",
			  ts_ip_format(&s->ip, told), ts_ip_format(ip, real),
			  member->name ? member->name : "", name);
	}
	touch(all, s);
	*ip = s->ip;
	return true;
}

/* A whole address in place of another of the same length. */
static bool tell_record(struct ts_member *member, const char *name,
			uint8_t *data, size_t len)
{
	struct ts_ip ip;
	bool v4 = len == V4_LEN;

	if (v4)
		ip = ts_ip_from_v4(data);
	else
		memcpy(ip.bytes, data, TS_IP_LEN);
	if (!ts_stand_in_tell(member, name, &ip))
		return false;
	memcpy(data, v4 ? ip.bytes + TS_IP_LEN - V4_LEN : ip.bytes, len);
	return true;
}

bool ts_stand_ins_tell_message(struct ts_member *member, const char *name,
			       uint8_t *msg, size_t len)
{
	struct ts_dns_walk walk;
	struct ts_dns_rr rr;

	if (ts_dns_walk_init(&walk, msg, len))
		return true; /* it has none */
	while (ts_dns_walk_next(&walk, &rr) > 0) {
		if (rr.class != DNS_CLASS_IN ||
		    !((rr.type == DNS_TYPE_A && rr.data_len == V4_LEN) ||
		      (rr.type == DNS_TYPE_AAAA && rr.data_len == TS_IP_LEN)))
			continue;
		if (!tell_record(member, name, msg + rr.data_at, rr.data_len))
			return false;
	}
	return true;
}
