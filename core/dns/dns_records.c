/* SPDX-License-Identifier: BSD-3-Clause
 * dns_records.c - the records of somebody else's answer
 * Source: RFC 1035 section 4.1.3, RFC 2181 section 10.1 (CNAME)
 *
 * A chain of CNAMEs is followed by the names in it, whatever the order of the
 * records, and for a bounded number of steps: whoever makes a ring of them gets
 * an error. Records of other names than those on the chain do not count.
 */
#include "core/dns/dns_records.h"

#include <errno.h>
#include <string.h>

int ts_dns_walk_init(struct ts_dns_walk *walk, const uint8_t *msg, size_t len)
{
	struct ts_reader r = ts_reader_init(msg, len);
	char name[DNS_TEXT_CAP];
	uint16_t questions;
	bool is_odd;

	*walk = (struct ts_dns_walk){.msg = msg, .len = len,
				     .pos = DNS_HEADER_LEN};
	ts_read_skip(&r, 2);
	walk->flags = ts_read_be16(&r);
	questions = ts_read_be16(&r);
	for (size_t i = 0; i <= DNS_ADDITIONALS; i++)
		walk->left[i] = ts_read_be16(&r);
	if (r.bad)
		return -EBADMSG;
	for (; questions > 0; questions--) {
		if (ts_dns_read_name(msg, len, &walk->pos, name, &is_odd) ||
		    len - walk->pos < 4)
			return -EBADMSG;
		walk->pos += 4; /* type, class */
	}
	return 0;
}

int ts_dns_walk_next(struct ts_dns_walk *walk, struct ts_dns_rr *out)
{
	struct ts_reader r = ts_reader_init(walk->msg, walk->len);
	unsigned section = DNS_ANSWERS;

	while (section <= DNS_ADDITIONALS && walk->left[section] == 0)
		section++;
	if (section > DNS_ADDITIONALS)
		return 0;
	walk->left[section]--;
	out->section = (enum ts_dns_section)section;
	if (ts_dns_read_name(walk->msg, walk->len, &walk->pos, out->name,
			     &out->is_odd))
		return -EBADMSG;
	ts_read_skip(&r, walk->pos);
	out->type = ts_read_be16(&r);
	out->class = ts_read_be16(&r);
	out->ttl_at = walk->len - r.left;
	out->ttl_s = ts_read_be32(&r);
	out->data_len = ts_read_be16(&r);
	out->data_at = walk->len - r.left;
	ts_read_skip(&r, out->data_len);
	if (r.bad)
		return -EBADMSG;
	walk->pos = walk->len - r.left;
	return 1;
}

/* A name in a record's data, which is all of it. */
static bool read_target(const struct ts_dns_walk *walk,
			const struct ts_dns_rr *rr,
			char out[static DNS_TEXT_CAP])
{
	size_t pos = rr->data_at;
	bool is_odd;

	return ts_dns_read_name(walk->msg, walk->len, &pos, out, &is_odd) ==
		       0 &&
	       !is_odd && pos == rr->data_at + rr->data_len;
}

static bool is_for(const struct ts_dns_rr *rr, const char *name, uint16_t type)
{
	return rr->section == DNS_ANSWERS && rr->class == DNS_CLASS_IN &&
	       rr->type == type && !rr->is_odd && strcmp(rr->name, name) == 0;
}

/* 1: name is now what its CNAME names; 0: it has none; -EBADMSG. */
static int follow(const uint8_t *msg, size_t len,
		  char name[static DNS_TEXT_CAP])
{
	struct ts_dns_walk walk;
	struct ts_dns_rr rr;
	int err = ts_dns_walk_init(&walk, msg, len);

	while (!err && (err = ts_dns_walk_next(&walk, &rr)) > 0) {
		if (is_for(&rr, name, DNS_TYPE_CNAME))
			return read_target(&walk, &rr, name) ? 1 : -EBADMSG;
		err = 0;
	}
	return err;
}

static int follow_all(const uint8_t *msg, size_t len,
		      char name[static DNS_TEXT_CAP])
{
	for (int i = 0; i <= DNS_CHAIN_MAX; i++) {
		int more = follow(msg, len, name);

		if (more <= 0)
			return more;
	}
	return -ELOOP;
}

static void add_address(const struct ts_dns_walk *walk,
			const struct ts_dns_rr *rr, struct ts_dns_found *out)
{
	const uint8_t *data = walk->msg + rr->data_at;

	if (out->count == out->cap)
		return;
	if (rr->type == DNS_TYPE_A && rr->data_len == 4) {
		out->ips[out->count++] = ts_ip_from_v4(data);
	} else if (rr->type == DNS_TYPE_AAAA && rr->data_len == TS_IP_LEN) {
		memcpy(out->ips[out->count].bytes, data, TS_IP_LEN);
		/* A mapped one would turn into an IPv4 address here. */
		if (!ts_ip_is_v4(&out->ips[out->count]))
			out->count++;
	}
}

int ts_dns_find_addresses(const uint8_t *msg, size_t len, const char *name,
			  uint16_t type, struct ts_dns_found *out)
{
	struct ts_dns_walk walk;
	struct ts_dns_rr rr;
	int err;

	if (strlen(name) >= sizeof(out->canonical))
		return -EBADMSG;
	memcpy(out->canonical, name, strlen(name) + 1);
	err = follow_all(msg, len, out->canonical);
	if (!err)
		err = ts_dns_walk_init(&walk, msg, len);
	while (!err && (err = ts_dns_walk_next(&walk, &rr)) > 0) {
		if (is_for(&rr, out->canonical, type))
			add_address(&walk, &rr, out);
		err = 0;
	}
	return err;
}

bool ts_dns_find_ptr(const uint8_t *msg, size_t len, const char *name,
		     char out[static DNS_TEXT_CAP])
{
	char owner[DNS_TEXT_CAP];
	struct ts_dns_walk walk;
	struct ts_dns_rr rr;

	if (strlen(name) >= sizeof(owner))
		return false;
	memcpy(owner, name, strlen(name) + 1);
	if (follow_all(msg, len, owner) || ts_dns_walk_init(&walk, msg, len))
		return false;
	while (ts_dns_walk_next(&walk, &rr) > 0)
		if (is_for(&rr, owner, DNS_TYPE_PTR))
			return read_target(&walk, &rr, out) && *out;
	return false;
}
