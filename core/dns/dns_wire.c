/* SPDX-License-Identifier: BSD-3-Clause
 * dns_wire.c - DNS messages: bytes <-> structs
 * Source: RFC 1035 section 4, RFC 6891 (EDNS), RFC 9619 (one question)
 *
 * Everything here comes from a stranger. A compression pointer must go back
 * behind where the name that holds it began, so each jump shortens what can
 * follow and no name can loop.
 */
#include "core/dns/dns_wire.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum {
	POINTER = 0xc0,
	POINTER_TO_QUESTION = 0xc000 | DNS_HEADER_LEN,
	OPT_RECORD_LEN = 11,
	EDNS_COOKIE = 10,
	EDNS_PADDING = 12,
};

/* -- reading -------------------------------------------------------------- */
/* Text of a name in the making. */
struct name_text {
	char *out;
	size_t len;
	size_t wire_len; /* what it would be without compression */
	bool is_odd;
};

static void add_label(struct name_text *t, const uint8_t *label, size_t len)
{
	if (t->len)
		t->out[t->len++] = '.';
	for (size_t i = 0; i < len; i++) {
		uint8_t c = label[i];

		if (c <= ' ' || c >= 0x7f || c == '.' || c == '\\')
			t->is_odd = true;
		t->out[t->len++] = (char)tolower(c);
	}
}

/* One label; 0 at the root, 1 for more, 2 after a pointer (*target). */
static int read_label(struct ts_reader *r, struct name_text *t, size_t *target)
{
	uint8_t len = ts_read_u8(r);
	const uint8_t *label;

	if ((len & POINTER) == POINTER) {
		*target = (size_t)(len & ~POINTER) << 8 | ts_read_u8(r);
		return r->bad ? -EBADMSG : 2;
	}
	if (len > DNS_LABEL_MAX)
		return -EBADMSG;
	label = ts_read_view(r, len);
	t->wire_len += 1u + len;
	if (r->bad || t->wire_len > DNS_NAME_MAX)
		return -EBADMSG;
	if (len == 0)
		return 0;
	add_label(t, label, len);
	return 1;
}

int ts_dns_read_name(const uint8_t *msg, size_t len, size_t *pos,
		     char text[static DNS_TEXT_CAP], bool *is_odd)
{
	struct ts_reader r = ts_reader_init(msg, len);
	struct name_text t = {.out = text};
	size_t began = *pos, target = 0;
	bool has_jumped = false;
	int kind;

	ts_read_skip(&r, *pos);
	while ((kind = read_label(&r, &t, &target)) > 0) {
		if (kind != 2)
			continue;
		if (!has_jumped)
			*pos = len - r.left;
		has_jumped = true;
		if (target >= began || target < DNS_HEADER_LEN)
			return -EBADMSG;
		began = target;
		r = ts_reader_init(msg, len);
		ts_read_skip(&r, target);
	}
	if (kind < 0)
		return kind;
	if (!has_jumped)
		*pos = len - r.left;
	text[t.len] = '\0';
	*is_odd = t.is_odd;
	return 0;
}

static int read_question(const uint8_t *msg, size_t len, size_t *pos,
			 struct ts_dns_query *q)
{
	struct ts_reader r = ts_reader_init(msg, len);
	int err = ts_dns_read_name(msg, len, pos, q->name, &q->is_odd);

	if (err)
		return err;
	ts_read_skip(&r, *pos);
	q->type = ts_read_be16(&r);
	q->class = ts_read_be16(&r);
	if (r.bad)
		return -EBADMSG;
	*pos = len - r.left;
	q->question_len = *pos - DNS_HEADER_LEN;
	if (q->question_len > sizeof(q->question))
		return -EBADMSG;
	memcpy(q->question, msg + DNS_HEADER_LEN, q->question_len);
	q->has_question = true;
	return 0;
}

/* Cookies, keepalive and padding are about the way, not about the answer. */
static bool has_telling_options(struct ts_reader data)
{
	while (data.left > 0 && !data.bad) {
		uint16_t code = ts_read_be16(&data);

		ts_read_skip(&data, ts_read_be16(&data));
		if (code < EDNS_COOKIE || code > EDNS_PADDING)
			return true;
	}
	return data.bad;
}

/* One record of which only an OPT is of interest. */
static int read_record(const uint8_t *msg, size_t len, size_t *pos,
		       struct ts_dns_query *q)
{
	struct ts_reader r = ts_reader_init(msg, len);
	char name[DNS_TEXT_CAP];
	bool is_odd;
	uint16_t type, class, flags;
	struct ts_reader data;
	size_t at;
	int err = ts_dns_read_name(msg, len, pos, name, &is_odd);

	if (err)
		return err;
	at = *pos;
	ts_read_skip(&r, at);
	type = ts_read_be16(&r);
	class = ts_read_be16(&r);
	ts_read_skip(&r, 2); /* time to live, but for OPT */
	flags = ts_read_be16(&r);
	data = ts_read_block(&r, ts_read_be16(&r));
	if (r.bad || (type == DNS_TYPE_OPT && (name[0] || q->has_edns)))
		return -EBADMSG;
	*pos = len - r.left;
	q->has_more |= type != DNS_TYPE_OPT || has_telling_options(data);
	if (type == DNS_TYPE_OPT) {
		q->has_edns = true;
		q->udp_size = class > DNS_UDP_MAX ? class : DNS_UDP_MAX;
		q->edns_flags = flags;
		q->udp_size_at = at + 2;
	}
	return 0;
}

int ts_dns_read_query(const uint8_t *msg, size_t len, struct ts_dns_query *out)
{
	struct ts_reader r = ts_reader_init(msg, len);
	size_t pos = DNS_HEADER_LEN, records;
	uint16_t questions;

	memset(out, 0, sizeof(*out));
	out->udp_size = DNS_UDP_MAX;
	out->id = ts_read_be16(&r);
	out->flags = ts_read_be16(&r);
	questions = ts_read_be16(&r);
	records = (size_t)ts_read_be16(&r) + ts_read_be16(&r) +
		  ts_read_be16(&r);
	if (r.bad || (out->flags & DNS_FLAG_RESPONSE))
		return -EBADMSG;
	if (questions != 1 || read_question(msg, len, &pos, out))
		return -EPROTO;
	while (records-- > 0)
		if (read_record(msg, len, &pos, out))
			return -EPROTO;
	return 0;
}

/* -- answers of others ---------------------------------------------------- */
/* What ASCII knows as letters may come back in the other case. */
static bool is_same_question(const uint8_t *a, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (tolower(a[i]) != tolower(b[i]))
			return false;
	return true;
}

static bool is_excuse(uint16_t rcode)
{
	return rcode == DNS_SERVFAIL || rcode == DNS_REFUSED ||
	       rcode == DNS_NOTIMP;
}

enum ts_dns_verdict ts_dns_judge(const uint8_t *query, size_t question_len,
				 const uint8_t *msg, size_t len)
{
	struct ts_reader asked = ts_reader_init(query, DNS_HEADER_LEN);
	struct ts_reader r = ts_reader_init(msg, len);
	uint16_t id = ts_read_be16(&r), flags = ts_read_be16(&r);
	uint16_t questions = ts_read_be16(&r);
	uint16_t rcode = flags & DNS_RCODE_MASK;
	const uint8_t *question;

	ts_read_skip(&r, DNS_HEADER_LEN - 6);
	if (r.bad || id != ts_read_be16(&asked) ||
	    !(flags & DNS_FLAG_RESPONSE))
		return DNS_ANSWER_FOREIGN;
	if (questions > 0) {
		question = ts_read_view(&r, question_len);
		if (!question || !is_same_question(question,
						   query + DNS_HEADER_LEN,
						   question_len))
			return DNS_ANSWER_FOREIGN;
	} else if (!is_excuse(rcode) && rcode != DNS_FORMERR) {
		/* Only who could not read the question need not repeat it. */
		return DNS_ANSWER_FOREIGN;
	}
	if (is_excuse(rcode))
		return DNS_ANSWER_EXCUSE;
	return flags & DNS_FLAG_TRUNCATED ? DNS_ANSWER_CUT_OFF
					  : DNS_ANSWER_GOOD;
}

/* -- writing -------------------------------------------------------------- */
static uint16_t response_flags(const struct ts_dns_response *r)
{
	uint16_t asked = r->query->flags;
	uint16_t flags = DNS_FLAG_RESPONSE | DNS_FLAG_AUTHORITATIVE;

	flags |= asked & (DNS_OPCODE_MASK | DNS_FLAG_RECURSION_DESIRED);
	if (asked & DNS_FLAG_RECURSION_DESIRED)
		flags |= DNS_FLAG_RECURSION_AVAILABLE;
	return (uint16_t)(flags | r->rcode);
}

/* The space of the OPT record, which comes last, is set aside. */
void ts_dns_response_init(struct ts_dns_response *r,
			  const struct ts_dns_query *query,
			  enum ts_dns_rcode rcode, uint8_t *out, size_t cap)
{
	size_t opt = query->has_edns ? OPT_RECORD_LEN : 0;

	cap = cap > opt ? cap - opt : 0;
	*r = (struct ts_dns_response){
		.start = out, .cap = cap, .query = query, .rcode = rcode,
		.w = ts_writer_init(out, cap),
	};
	ts_write_zeros(&r->w, DNS_HEADER_LEN);
	if (query->has_question)
		ts_write_bytes(&r->w, query->question, query->question_len);
}

static void write_name(struct ts_writer *w, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, ".");

		if (len == 0 || len > DNS_LABEL_MAX) {
			w->bad = true;
			return;
		}
		ts_write_u8(w, (uint8_t)len);
		ts_write_bytes(w, text, len);
		text += len;
		if (*text == '.')
			text++;
	}
	ts_write_u8(w, 0);
}

int ts_dns_write_query(uint16_t id, const char *name, uint16_t type,
		       uint8_t *out, size_t cap)
{
	struct ts_writer w = ts_writer_init(out, cap);

	if (strlen(name) >= DNS_TEXT_CAP)
		return -EBADMSG;
	ts_write_be16(&w, id);
	ts_write_be16(&w, DNS_FLAG_RECURSION_DESIRED);
	ts_write_be16(&w, 1); /* questions */
	ts_write_zeros(&w, 6);
	write_name(&w, name);
	if (w.len > DNS_HEADER_LEN + DNS_NAME_MAX)
		return -EBADMSG;
	ts_write_be16(&w, type);
	ts_write_be16(&w, DNS_CLASS_IN);
	return w.bad ? -EBADMSG : (int)w.len;
}

size_t ts_dns_cut_off(uint8_t *answer, size_t len)
{
	struct ts_reader r = ts_reader_init(answer, len);
	struct ts_writer w;
	char name[DNS_TEXT_CAP];
	size_t end = DNS_HEADER_LEN;
	bool is_odd, has_question;
	uint16_t flags;

	ts_read_skip(&r, 2);
	flags = ts_read_be16(&r);
	has_question = ts_read_be16(&r) > 0;
	if (r.bad || len < DNS_HEADER_LEN)
		return 0;
	if (has_question &&
	    (ts_dns_read_name(answer, len, &end, name, &is_odd) ||
	     len - end < 4))
		return 0;
	w = ts_writer_init(answer + 2, DNS_HEADER_LEN - 2);
	ts_write_be16(&w, flags | DNS_FLAG_TRUNCATED);
	ts_write_be16(&w, has_question);
	ts_write_zeros(&w, 6);
	return has_question ? end + 4 : end;
}

static size_t name_len(const char *text)
{
	return *text ? strlen(text) + 2 : 1;
}

static void write_answer_head(struct ts_dns_response *r, uint16_t type,
			      uint32_t ttl_s, size_t data_len)
{
	ts_write_be16(&r->w, POINTER_TO_QUESTION);
	ts_write_be16(&r->w, type);
	ts_write_be16(&r->w, DNS_CLASS_IN);
	ts_write_be32(&r->w, ttl_s);
	ts_write_be16(&r->w, (uint16_t)data_len);
	r->answers++;
}

void ts_dns_add_ip(struct ts_dns_response *r, const struct ts_ip *ip,
		   uint32_t ttl_s)
{
	if (ts_ip_is_v4(ip)) {
		write_answer_head(r, DNS_TYPE_A, ttl_s, 4);
		ts_write_bytes(&r->w, ip->bytes + 12, 4);
	} else {
		write_answer_head(r, DNS_TYPE_AAAA, ttl_s, TS_IP_LEN);
		ts_write_bytes(&r->w, ip->bytes, TS_IP_LEN);
	}
}

void ts_dns_add_ptr(struct ts_dns_response *r, const char *name, uint32_t ttl_s)
{
	write_answer_head(r, DNS_TYPE_PTR, ttl_s, name_len(name));
	write_name(&r->w, name);
}

void ts_dns_add_soa(struct ts_dns_response *r, const char *zone, uint32_t ttl_s)
{
	write_name(&r->w, zone);
	ts_write_be16(&r->w, DNS_TYPE_SOA);
	ts_write_be16(&r->w, DNS_CLASS_IN);
	ts_write_be32(&r->w, ttl_s);
	ts_write_be16(&r->w, (uint16_t)(2 * name_len(zone) + 20));
	write_name(&r->w, zone);    /* primary server */
	write_name(&r->w, zone);    /* mailbox */
	ts_write_be32(&r->w, 1);    /* serial: nobody transfers this zone */
	ts_write_be32(&r->w, ttl_s); /* refresh */
	ts_write_be32(&r->w, ttl_s); /* retry */
	ts_write_be32(&r->w, ttl_s); /* expire */
	ts_write_be32(&r->w, ttl_s); /* negative TTL */
	r->authorities++;
}

static void write_opt(struct ts_writer *w)
{
	ts_write_u8(w, 0); /* root */
	ts_write_be16(w, DNS_TYPE_OPT);
	ts_write_be16(w, DNS_EDNS_MAX);
	ts_write_be32(w, 0); /* extended code, version 0, flags */
	ts_write_be16(w, 0);
}

static void write_header(const struct ts_dns_response *r, uint16_t extra_flags)
{
	struct ts_writer w = ts_writer_init(r->start, DNS_HEADER_LEN);
	const struct ts_dns_query *q = r->query;

	ts_write_be16(&w, q->id);
	ts_write_be16(&w, (uint16_t)(response_flags(r) | extra_flags));
	ts_write_be16(&w, q->has_question ? 1 : 0);
	ts_write_be16(&w, r->answers);
	ts_write_be16(&w, r->authorities);
	ts_write_be16(&w, q->has_edns ? 1 : 0);
}

int ts_dns_response_finish(struct ts_dns_response *r)
{
	const struct ts_dns_query *q = r->query;
	uint16_t truncated = 0;

	if (r->w.bad) {
		r->w = ts_writer_init(r->start, r->cap);
		ts_write_zeros(&r->w, DNS_HEADER_LEN);
		ts_write_bytes(&r->w, q->question, q->question_len);
		if (r->w.bad)
			return -ENOBUFS;
		r->answers = r->authorities = 0;
		truncated = DNS_FLAG_TRUNCATED;
	}
	if (q->has_edns) {
		struct ts_writer opt = ts_writer_init(r->start + r->w.len,
						      OPT_RECORD_LEN);

		write_opt(&opt);
		r->w.len += opt.len;
	}
	write_header(r, truncated);
	return (int)r->w.len;
}
