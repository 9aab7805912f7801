/* SPDX-License-Identifier: BSD-3-Clause
 * broker_wire.c - broker messages: bytes <-> structs
 *
 * Every request has the same fields in the same order, used or not: at one
 * message per connect or accept 80 spare bytes cost nothing, and a parser
 * without branches has nothing to get wrong. Reading fills a struct that was
 * zeroed first, so a message that fails half-way leaves no trace.
 *
 *   request: type 1, version 1, token 16, proto 1, flags 1, native local 18,
 *            native remote 18, tailnet 18, name 2 + n
 *   reply:   type 1, error 4, native 18, tailnet 18, answer 1, count 1,
 *            addresses 16 each, name 2 + n; INFO: tunnel 100
 *   DNS alone, both ways: message 2 + n
 *
 * In: bytes of one SEQPACKET message.  Out: structs.  Owns: nothing.
 */
#include "core/broker/broker_wire.h"

#include <errno.h>
#include <string.h>

#include "core/base/wire.h"

static void write_addr(struct ts_writer *w, const struct ts_addr *addr)
{
	ts_write_bytes(w, addr->ip.bytes, TS_IP_LEN);
	ts_write_be16(w, addr->port);
}

static void read_addr(struct ts_reader *r, struct ts_addr *out)
{
	ts_read_bytes(r, out->ip.bytes, TS_IP_LEN);
	out->port = ts_read_be16(r);
}

static void write_name(struct ts_writer *w, const char *name)
{
	size_t len = strnlen(name, TS_BROKER_NAME_CAP);

	if (len == TS_BROKER_NAME_CAP) {
		w->bad = true;
		return;
	}
	ts_write_be16(w, (uint16_t)len);
	ts_write_bytes(w, name, len);
}

/* A NUL inside would make two readers see two names. */
static void read_name(struct ts_reader *r, char *out)
{
	size_t len = ts_read_be16(r);

	if (len >= TS_BROKER_NAME_CAP) {
		r->bad = true;
		return;
	}
	ts_read_bytes(r, out, len);
	out[len] = '\0';
	if (!r->bad && strlen(out) != len)
		r->bad = true;
}

static void write_block_len(struct ts_writer *w, size_t len, size_t max)
{
	if (len > max)
		w->bad = true;
	ts_write_be16(w, (uint16_t)len);
}

static bool is_known_type(uint8_t type)
{
	return type >= TS_BROKER_ATTACH && type <= TS_BROKER_TYPE_LAST;
}

static int written(const struct ts_writer *w)
{
	return w->bad ? -ENOBUFS : (int)w->len;
}

int ts_broker_write_request(const struct ts_broker_request *req, uint8_t *out,
			    size_t cap)
{
	struct ts_writer w = ts_writer_init(out, cap);

	ts_write_u8(&w, req->type);
	ts_write_u8(&w, TS_BROKER_VERSION);
	ts_write_bytes(&w, req->token, TS_TABLE_TOKEN_LEN);
	ts_write_u8(&w, req->proto);
	ts_write_u8(&w, req->flags);
	write_addr(&w, &req->native_local);
	write_addr(&w, &req->native_remote);
	write_addr(&w, &req->tailnet);
	write_name(&w, req->name);
	if (req->type == TS_BROKER_DNS) {
		write_block_len(&w, req->data_len, TS_BROKER_QUERY_MAX);
		ts_write_bytes(&w, req->data, req->data_len);
	}
	return written(&w);
}

int ts_broker_read_request(const uint8_t *in, size_t len,
			   struct ts_broker_request *out)
{
	struct ts_reader r = ts_reader_init(in, len);
	struct ts_broker_request req = {0};

	req.type = ts_read_u8(&r);
	if (ts_read_u8(&r) != TS_BROKER_VERSION || !is_known_type(req.type))
		return -EBADMSG;
	ts_read_bytes(&r, req.token, TS_TABLE_TOKEN_LEN);
	req.proto = ts_read_u8(&r);
	req.flags = ts_read_u8(&r);
	read_addr(&r, &req.native_local);
	read_addr(&r, &req.native_remote);
	read_addr(&r, &req.tailnet);
	read_name(&r, req.name);
	if (req.type == TS_BROKER_DNS)
		req.data_len = ts_read_be16(&r);
	if (req.data_len > TS_BROKER_QUERY_MAX)
		return -EBADMSG;
	req.data = ts_read_view(&r, req.data_len);
	if (r.bad || r.left > 0)
		return -EBADMSG;
	*out = req;
	return 0;
}

static void write_tunnel(struct ts_writer *w, const struct ts_tunnel_info *t)
{
	const uint8_t bytes[] = {
		t->state,    t->is_recovering, t->retransmits,
		t->probes,   t->backoff,       t->has_sack,
		t->has_scale, t->send_scale,   t->receive_scale,
		t->congestion,
	};
	const uint32_t words[] = {
		t->rto_us,	  t->rtt_us,	     t->rtt_var_us,
		t->min_rtt_us,	  t->cwnd,	     t->ssthresh,
		t->unacked,	  t->lost,	     t->total_retransmits,
		t->unsent_bytes, t->send_window, t->receive_window,
		t->sacked,
	};

	ts_write_bytes(w, bytes, sizeof(bytes));
	ts_write_be16(w, t->mtu);
	ts_write_be16(w, t->send_mss);
	ts_write_be16(w, t->advertised_mss);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		ts_write_be32(w, words[i]);
	ts_write_be64(w, t->bytes_acked);
	ts_write_be64(w, t->bytes_received);
	ts_write_be64(w, t->pacing_rate);
	ts_write_be64(w, t->delivery_rate);
}

static void read_tunnel(struct ts_reader *r, struct ts_tunnel_info *out)
{
	uint8_t *const bytes[] = {
		&out->state,	 &out->is_recovering, &out->retransmits,
		&out->probes,	 &out->backoff,	      &out->has_sack,
		&out->has_scale, &out->send_scale,    &out->receive_scale,
		&out->congestion,
	};
	uint32_t *const words[] = {
		&out->rto_us,	    &out->rtt_us,      &out->rtt_var_us,
		&out->min_rtt_us,   &out->cwnd,	       &out->ssthresh,
		&out->unacked,	    &out->lost,	       &out->total_retransmits,
		&out->unsent_bytes, &out->send_window, &out->receive_window,
		&out->sacked,
	};

	for (size_t i = 0; i < sizeof(bytes) / sizeof(*bytes); i++)
		*bytes[i] = ts_read_u8(r);
	out->mtu = ts_read_be16(r);
	out->send_mss = ts_read_be16(r);
	out->advertised_mss = ts_read_be16(r);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		*words[i] = ts_read_be32(r);
	out->bytes_acked = ts_read_be64(r);
	out->bytes_received = ts_read_be64(r);
	out->pacing_rate = ts_read_be64(r);
	out->delivery_rate = ts_read_be64(r);
}

static void write_reply_head(struct ts_writer *w,
			     const struct ts_broker_reply *rep)
{
	if (rep->addr_count > TS_BROKER_ADDRS_MAX) {
		w->bad = true;
		return;
	}
	ts_write_u8(w, rep->type);
	ts_write_be32(w, (uint32_t)rep->error);
	write_addr(w, &rep->native);
	write_addr(w, &rep->tailnet);
	ts_write_u8(w, rep->answer);
	ts_write_u8(w, rep->addr_count);
	for (size_t i = 0; i < rep->addr_count; i++)
		ts_write_bytes(w, rep->addrs[i].bytes, TS_IP_LEN);
	write_name(w, rep->name);
	if (rep->type == TS_BROKER_INFO)
		write_tunnel(w, &rep->tunnel);
	if (rep->type == TS_BROKER_DNS)
		write_block_len(w, rep->data_len, TS_BROKER_ANSWER_MAX);
}

int ts_broker_write_reply_head(const struct ts_broker_reply *rep, uint8_t *out,
			       size_t cap)
{
	struct ts_writer w = ts_writer_init(out, cap);

	write_reply_head(&w, rep);
	return written(&w);
}

int ts_broker_write_reply(const struct ts_broker_reply *rep, uint8_t *out,
			  size_t cap)
{
	struct ts_writer w = ts_writer_init(out, cap);

	write_reply_head(&w, rep);
	if (rep->type == TS_BROKER_DNS)
		ts_write_bytes(&w, rep->data, rep->data_len);
	return written(&w);
}

static int read_reply_head(struct ts_reader *r, struct ts_broker_reply *rep)
{
	rep->type = ts_read_u8(r);
	rep->error = (int32_t)ts_read_be32(r);
	if (!is_known_type(rep->type) || rep->error < 0)
		return -EBADMSG;
	read_addr(r, &rep->native);
	read_addr(r, &rep->tailnet);
	rep->answer = ts_read_u8(r);
	rep->addr_count = ts_read_u8(r);
	if (rep->answer > TS_ANSWER_NXDOMAIN ||
	    rep->addr_count > TS_BROKER_ADDRS_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < rep->addr_count; i++)
		ts_read_bytes(r, rep->addrs[i].bytes, TS_IP_LEN);
	read_name(r, rep->name);
	if (rep->type == TS_BROKER_INFO)
		read_tunnel(r, &rep->tunnel);
	if (rep->type == TS_BROKER_DNS)
		rep->data_len = ts_read_be16(r);
	return r->bad ? -EBADMSG : 0;
}

int ts_broker_read_reply_head(const uint8_t *in, size_t len,
			      struct ts_broker_reply *out)
{
	struct ts_reader r = ts_reader_init(in, len);
	struct ts_broker_reply rep = {0};

	if (read_reply_head(&r, &rep) || r.left > 0)
		return -EBADMSG;
	*out = rep;
	return 0;
}

int ts_broker_read_reply(const uint8_t *in, size_t len,
			 struct ts_broker_reply *out)
{
	struct ts_reader r = ts_reader_init(in, len);
	struct ts_broker_reply rep = {0};

	if (read_reply_head(&r, &rep))
		return -EBADMSG;
	rep.data = ts_read_view(&r, rep.data_len);
	if (r.bad || r.left > 0)
		return -EBADMSG;
	*out = rep;
	return 0;
}
