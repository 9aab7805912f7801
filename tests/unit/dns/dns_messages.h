/* SPDX-License-Identifier: BSD-3-Clause
 * dns_messages.h - answers as name servers make them
 */
#ifndef TESTS_UNIT_DNS_DNS_MESSAGES_H
#define TESTS_UNIT_DNS_DNS_MESSAGES_H

#include <string.h>

#include "core/dns/dns_wire.h"

struct message {
	uint8_t bytes[DNS_MESSAGE_MAX];
	struct ts_writer w;
	uint16_t flags, counts[3];
};

static inline void put_name(struct ts_writer *w, const char *name)
{
	while (*name) {
		size_t len = strcspn(name, ".");

		ts_write_u8(w, (uint8_t)len);
		ts_write_bytes(w, name, len);
		name += len + (name[len] == '.');
	}
	ts_write_u8(w, 0);
}

/* An answer to a query that ts_dns_write_query() made. */
static inline void begin_answer(struct message *m, const uint8_t *query,
				size_t len, uint16_t flags)
{
	memset(m, 0, sizeof(*m));
	m->w = ts_writer_init(m->bytes, sizeof(m->bytes));
	ts_write_bytes(&m->w, query, len);
	m->flags = (uint16_t)(DNS_FLAG_RESPONSE | flags);
}

static inline void put_record(struct message *m, int section, const char *name,
			      uint16_t type, uint32_t ttl_s, const void *data,
			      size_t len)
{
	put_name(&m->w, name);
	ts_write_be16(&m->w, type);
	ts_write_be16(&m->w, DNS_CLASS_IN);
	ts_write_be32(&m->w, ttl_s);
	ts_write_be16(&m->w, (uint16_t)len);
	ts_write_bytes(&m->w, data, len);
	m->counts[section]++;
}

static inline void put_alias(struct message *m, const char *name,
			     const char *target)
{
	uint8_t data[DNS_NAME_MAX];
	struct ts_writer w = ts_writer_init(data, sizeof(data));

	put_name(&w, target);
	put_record(m, 0, name, DNS_TYPE_CNAME, 60, data, w.len);
}

static inline void put_soa(struct message *m, const char *zone, uint32_t ttl_s,
			   uint32_t minimum_s)
{
	uint8_t data[22];
	struct ts_writer w = ts_writer_init(data, sizeof(data));

	ts_write_zeros(&w, 18); /* two names of the root, four numbers */
	ts_write_be32(&w, minimum_s);
	put_record(m, 1, zone, DNS_TYPE_SOA, ttl_s, data, w.len);
}

static inline size_t end_answer(struct message *m)
{
	struct ts_writer w = ts_writer_init(m->bytes + 2, 10);

	ts_write_be16(&w, m->flags);
	ts_write_be16(&w, 1);
	for (int i = 0; i < 3; i++)
		ts_write_be16(&w, m->counts[i]);
	return m->w.len;
}

#endif
