/* SPDX-License-Identifier: BSD-3-Clause
 * cli_dns.c - tsrun dns status|query: who is asked for which name
 *
 * The tailnet's configuration and the system's, and one query by the same way
 * that programs' queries take.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/dns/dns_records.h"
#include "core/engine/cli_internal.h"

enum { NAME_WIDTH = 30 };

/* -- status --------------------------------------------------------------- */

static void print_resolvers(const json_t *list, const char *indent)
{
	json_t *entry;
	size_t i;

	json_array_foreach (list, i, entry)
		printf("%s%s%s\n", indent, cli_text(entry, "Addr"),
		       json_is_true(json_object_get(entry, "UseWithExitNode"))
			       ? "  (also with an exit node)" : "");
}

static void print_texts(const char *title, const json_t *list)
{
	json_t *entry;
	size_t i;

	printf("%s:%s\n", title, json_array_size(list) ? "" : " none");
	json_array_foreach (list, i, entry)
		printf("  %s\n", json_string_value(entry));
}

static void print_routes(const json_t *routes)
{
	const char *suffix;
	json_t *list;

	printf("Split DNS:%s\n", json_object_size(routes) ? "" : " none");
	json_object_foreach ((json_t *)(uintptr_t)routes, suffix, list) {
		printf("  %s\n", suffix);
		print_resolvers(list, "    ");
		if (json_array_size(list) == 0)
			puts("    the tailnet's own records alone");
	}
}

static void print_records(const json_t *list)
{
	json_t *entry;
	size_t i;

	printf("Records:%s\n", json_array_size(list) ? "" : " none");
	json_array_foreach (list, i, entry)
		printf("  %-*s %s\n", NAME_WIDTH, cli_text(entry, "Name"),
		       cli_text(entry, "Value"));
}

static void print_tailnet(const json_t *status, const json_t *config)
{
	const json_t *tailnet = json_object_get(status, "CurrentTailnet");
	const json_t *all = json_object_get(config, "Resolvers");

	printf("MagicDNS: %s, suffix %s\n",
	       json_is_true(json_object_get(tailnet, "MagicDNSEnabled"))
		       ? "on" : "off",
	       cli_text(tailnet, "MagicDNSSuffix"));
	printf("This node: %s\n",
	       cli_text(json_object_get(status, "Self"), "DNSName"));
	printf("Resolvers for all names:%s\n",
	       json_array_size(all) ? "" : " none, the system's are asked");
	print_resolvers(all, "  ");
	print_routes(json_object_get(config, "Routes"));
	print_texts("Search domains", json_object_get(config, "Domains"));
	print_records(json_object_get(config, "ExtraRecords"));
}

static int dns_status(const struct cli *cli)
{
	json_t *status = NULL, *prefs = NULL, *config = NULL, *system = NULL;
	int code = cli_ask(cli, "GET", "/localapi/v0/status?peers=false",
			   &status);

	if (!code)
		code = cli_ask(cli, "GET", "/localapi/v0/prefs", &prefs);
	if (!code)
		code = cli_ask(cli, "GET", "/localapi/v0/dns-config", &config);
	if (!code)
		code = cli_ask(cli, "GET", "/localapi/v0/dns-osconfig",
			       &system);
	if (!code && cli->json) {
		code = cli_print_json(json_pack(
			"{s:O, s:O, s:O}", "TailscaleDNS",
			json_object_get(prefs, "CorpDNS"), "Config", config,
			"System", system));
	} else if (!code) {
		printf("The tailnet's DNS is %s.\n",
		       json_is_true(json_object_get(prefs, "CorpDNS"))
			       ? "used"
			       : "not used (accept_dns = no), but for nodes "
				 "and records");
		print_tailnet(status, config);
		print_texts("The system's name servers",
			    json_object_get(system, "Nameservers"));
		print_texts("The system's search domains",
			    json_object_get(system, "SearchDomains"));
	}
	json_decref(status);
	json_decref(prefs);
	json_decref(config);
	json_decref(system);
	return code;
}

/* -- query ---------------------------------------------------------------- */

static const char *rcode_name(unsigned rcode)
{
	static const char *const names[] = {"NOERROR", "FORMERR", "SERVFAIL",
					    "NXDOMAIN", "NOTIMP", "REFUSED"};

	return rcode < ARRAY_LEN(names) ? names[rcode] : "an error";
}

static const char *type_name(uint16_t type)
{
	static const struct {
		uint16_t type;
		const char *name;
	} names[] = {
		{DNS_TYPE_A, "A"}, {DNS_TYPE_NS, "NS"},
		{DNS_TYPE_CNAME, "CNAME"}, {DNS_TYPE_SOA, "SOA"},
		{DNS_TYPE_PTR, "PTR"}, {DNS_TYPE_MX, "MX"},
		{DNS_TYPE_TXT, "TXT"}, {DNS_TYPE_AAAA, "AAAA"},
		{DNS_TYPE_SRV, "SRV"},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].type == type)
			return names[i].name;
	return "other";
}

/* What others wrote: no control characters for the terminal. */
static void print_bytes(const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		putchar(at[i] >= ' ' && at[i] < 0x7f ? at[i] : '?');
}

static void print_name(const struct ts_dns_walk *walk, size_t at)
{
	char name[DNS_TEXT_CAP];
	bool is_odd;

	if (ts_dns_read_name(walk->msg, walk->len, &at, name, &is_odd))
		return;
	print_bytes((const uint8_t *)name, strlen(name));
}

static void print_texts_of(const uint8_t *data, size_t len)
{
	struct ts_reader r = ts_reader_init(data, len);

	while (r.left > 0 && !r.bad) {
		size_t n = ts_read_u8(&r);
		const uint8_t *text = ts_read_view(&r, n);

		if (!text)
			return;
		putchar('"');
		print_bytes(text, n);
		printf("\"%s", r.left ? " " : "");
	}
}

static void print_data(const struct ts_dns_walk *walk,
		       const struct ts_dns_rr *rr)
{
	const uint8_t *data = walk->msg + rr->data_at;
	struct ts_reader r = ts_reader_init(data, rr->data_len);
	char text[TS_IP_TEXT_CAP];
	struct ts_ip ip;

	switch (rr->type) {
	case DNS_TYPE_A:
	case DNS_TYPE_AAAA:
		if (rr->data_len == 4)
			ip = ts_ip_from_v4(data);
		else if (rr->data_len == TS_IP_LEN)
			memcpy(ip.bytes, data, TS_IP_LEN);
		else
			break;
		printf("%s", ts_ip_format(&ip, text));
		break;
	case DNS_TYPE_CNAME:
	case DNS_TYPE_PTR:
	case DNS_TYPE_NS:
		print_name(walk, rr->data_at);
		break;
	case DNS_TYPE_MX:
		printf("%u ", ts_read_be16(&r));
		print_name(walk, rr->data_at + 2);
		break;
	case DNS_TYPE_SRV:
		for (int i = 0; i < 3; i++) /* priority, weight, port */
			printf("%u ", ts_read_be16(&r));
		print_name(walk, rr->data_at + 6);
		break;
	case DNS_TYPE_TXT:
		print_texts_of(data, rr->data_len);
		break;
	default:
		printf("%zu bytes", rr->data_len);
		break;
	}
}

static int print_answer(const uint8_t *msg, size_t len)
{
	struct ts_dns_walk walk;
	struct ts_dns_rr rr;
	unsigned rcode;

	if (ts_dns_walk_init(&walk, msg, len))
		return cli_fail("the answer is no DNS message");
	rcode = walk.flags & DNS_RCODE_MASK;
	printf("%s\n", rcode_name(rcode));
	while (ts_dns_walk_next(&walk, &rr) > 0) {
		if (rr.section != DNS_ANSWERS)
			continue;
		print_bytes((const uint8_t *)rr.name, strlen(rr.name));
		printf("\t%u\t%s\t", rr.ttl_s, type_name(rr.type));
		print_data(&walk, &rr);
		putchar('\n');
	}
	return rcode == DNS_NOERROR ? 0 : 1;
}

static int print_query(const json_t *body)
{
	const char *text = cli_text(body, "Bytes");
	const json_t *resolvers = json_object_get(body, "Resolvers");
	uint8_t *msg = NULL;
	size_t len;
	int code;

	printf("Asked:%s\n", json_array_size(resolvers)
				     ? "" : " nobody, the netmap knows");
	print_resolvers(resolvers, "  ");
	if (ts_base64_decode(text, strlen(text), &msg, &len))
		return cli_fail("the answer cannot be read");
	code = print_answer(msg, len);
	free(msg);
	return code;
}

static int dns_query(const struct cli *cli)
{
	char *name = curl_easy_escape(NULL, cli_arg(cli, 1), 0);
	char *type = curl_easy_escape(NULL, cli_arg(cli, 2)
						    ? cli_arg(cli, 2) : "A", 0);
	char path[CLI_PATH_CAP * 2];
	json_t *body = NULL;
	int code;

	snprintf(path, sizeof(path), "/localapi/v0/dns-query?name=%s&type=%s",
		 name ? name : "", type ? type : "");
	curl_free(name);
	curl_free(type);
	code = cli_ask(cli, "GET", path, &body);
	if (code || cli->json)
		return code ? code : cli_print_json(body);
	code = print_query(body);
	json_decref(body);
	return code;
}

int cli_dns(const struct cli *cli)
{
	const char *what = cli_arg(cli, 0);

	if (strcmp(what, "status") == 0 && cli->arg_count == 1)
		return dns_status(cli);
	if (strcmp(what, "query") == 0 && cli->arg_count > 1)
		return dns_query(cli);
	fprintf(stderr, "tsrun: dns status, or dns query NAME [TYPE]\n");
	return CLI_EXIT_USAGE;
}
