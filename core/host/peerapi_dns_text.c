/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_dns_text.c - names for people who ask our PeerAPI
 */
#include "core/host/peerapi_dns_text.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/form.h"
#include "core/dns/dns_records.h"

enum {
	QUERY_ID = 1, /* some servers refuse 0 */
	TYPE_CAP = 8,
	STRING_MAX = 255, /* of a TXT record */
};

/* -- the question --------------------------------------------------------- */

static uint16_t type_of(const struct ts_peerapi_request *req)
{
	char text[TYPE_CAP] = "";
	size_t len = 0;
	const char *value = ts_form_find(req->query, req->query_len, "t", &len);

	if (!value || !ts_form_decode(value, len, text, sizeof(text)))
		return DNS_TYPE_A;
	return strcasecmp(text, "aaaa") == 0  ? DNS_TYPE_AAAA
	       : strcasecmp(text, "txt") == 0 ? DNS_TYPE_TXT
					      : DNS_TYPE_A;
}

int ts_peerapi_dns_question(const struct ts_peerapi_request *req,
			    uint8_t out[static DNS_PLAIN_QUERY_CAP])
{
	char name[DNS_TEXT_CAP];
	size_t len = 0;
	const char *value = ts_form_find(req->query, req->query_len, "q", &len);

	if (!ts_peerapi_is_get(req) || !value || len == 0)
		return -ENOENT;
	if (!ts_form_decode(value, len, name, sizeof(name)))
		return -EBADMSG;
	return ts_dns_write_query(QUERY_ID, name, type_of(req), out,
				  DNS_PLAIN_QUERY_CAP);
}

/* -- the answer ----------------------------------------------------------- */

static void add_ip(json_t *list, const struct ts_dns_rr *rr,
		   const uint8_t *data)
{
	char text[TS_IP_TEXT_CAP];
	struct ts_ip ip;

	if (rr->type == DNS_TYPE_A)
		ip = ts_ip_from_v4(data);
	else
		memcpy(ip.bytes, data, TS_IP_LEN);
	json_array_append_new(list, json_string(ts_ip_format(&ip, text)));
}

/* Bytes that are no UTF-8 are for no eye. */
static json_t *as_text(const uint8_t *bytes, size_t len)
{
	char text[STRING_MAX];
	json_t *json = json_stringn((const char *)bytes, len);

	if (json)
		return json;
	for (size_t i = 0; i < len; i++)
		text[i] = bytes[i] < 0x80 ? (char)bytes[i] : '?';
	return json_stringn(text, len);
}

/* Each string after its length; 0 or -EBADMSG. */
static int add_strings(json_t *list, const uint8_t *data, size_t len)
{
	for (size_t at = 0; at < len; at += 1u + data[at]) {
		if (data[at] > len - at - 1)
			return -EBADMSG;
		json_array_append_new(list, as_text(data + at + 1, data[at]));
	}
	return 0;
}

static int add_record(json_t *list, const struct ts_dns_walk *walk,
		      const struct ts_dns_rr *rr)
{
	const uint8_t *data = walk->msg + rr->data_at;

	if (rr->section != DNS_ANSWERS || rr->class != DNS_CLASS_IN)
		return 0;
	switch (rr->type) {
	case DNS_TYPE_A:
	case DNS_TYPE_AAAA:
		if (rr->data_len != (rr->type == DNS_TYPE_A ? 4 : TS_IP_LEN))
			return -EBADMSG;
		add_ip(list, rr, data);
		return 0;
	case DNS_TYPE_TXT:
		return add_strings(list, data, rr->data_len);
	default:
		return 0;
	}
}

/* As upstream's library names them. */
static const char *rcode_name(unsigned rcode)
{
	static const char *const names[] = {
		[DNS_FORMERR] = "RCodeFormatError",
		[DNS_SERVFAIL] = "RCodeServerFailure",
		[DNS_NXDOMAIN] = "RCodeNameError",
		[DNS_NOTIMP] = "RCodeNotImplemented",
		[DNS_REFUSED] = "RCodeRefused"};

	return rcode < sizeof(names) / sizeof(names[0]) ? names[rcode] : NULL;
}

static json_t *error(const char *text)
{
	return json_pack("{s:s}", "Error", text);
}

static json_t *refusal(unsigned rcode)
{
	const char *name = rcode_name(rcode);
	char text[48];

	if (name)
		snprintf(text, sizeof(text), "DNS RCode = %s", name);
	else
		snprintf(text, sizeof(text), "DNS RCode = %u", rcode);
	return error(text);
}

static json_t *read_answer(const uint8_t *answer, size_t len)
{
	json_t *list = json_array();
	struct ts_dns_walk walk;
	struct ts_dns_rr rr;
	int err = ts_dns_walk_init(&walk, answer, len);

	if (!err && (walk.flags & DNS_RCODE_MASK) != DNS_NOERROR) {
		json_decref(list);
		return refusal(walk.flags & DNS_RCODE_MASK);
	}
	while (!err && (err = ts_dns_walk_next(&walk, &rr)) > 0)
		err = add_record(list, &walk, &rr);
	if (!err && json_array_size(list) > 0)
		return list;
	json_decref(list);
	return err ? error("malformed answer") : json_null();
}

char *ts_peerapi_dns_text(const uint8_t *answer, size_t len)
{
	json_t *said = read_answer(answer, len);
	char *text = json_dumps(said, JSON_COMPACT | JSON_ENCODE_ANY);
	char *line = NULL;

	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	json_decref(said);
	return line;
}
