/* SPDX-License-Identifier: BSD-3-Clause
 * resolv_conf.c - the system's name servers
 * Source: resolv.conf(5)
 *
 * Only "nameserver" lines count: programs bring their own search lists,
 * time-outs and options. The search list is read for people who ask.
 */
#include "core/host/resolv_conf.h"

#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { DNS_PORT = 53, CONF_CAP = 16 * 1024 };

static const char blanks[] = " \t";

/* "fe80::1%eth0" or "fe80::1%2" */
static bool parse_server(char *text, struct ts_name_server *out)
{
	char *zone = strchr(text, '%');

	*out = (struct ts_name_server){.addr = {.port = DNS_PORT}};
	if (zone) {
		*zone++ = '\0';
		out->scope = if_nametoindex(zone);
		if (out->scope == 0 && sscanf(zone, "%u", &out->scope) != 1)
			return false;
	}
	return ts_ip_parse(text, &out->addr.ip) == 0 &&
	       !ts_ip_is_unspecified(&out->addr.ip);
}

/* The address on a line of len bytes, or false. */
static bool parse_line(const char *line, size_t len,
		       struct ts_name_server *out)
{
	static const char keyword[] = "nameserver";
	const size_t keyword_len = sizeof(keyword) - 1;
	char value[96];

	if (len <= keyword_len || strncmp(line, keyword, keyword_len) != 0 ||
	    !strchr(blanks, line[keyword_len]))
		return false;
	line += keyword_len;
	len -= keyword_len;
	while (len > 0 && strchr(blanks, *line)) {
		line++;
		len--;
	}
	for (size_t i = 0; i < len; i++)
		if (strchr(" \t\r#;", line[i]))
			len = i;
	if (len == 0 || len >= sizeof(value))
		return false;
	memcpy(value, line, len);
	value[len] = '\0';
	return parse_server(value, out);
}

size_t ts_resolv_conf_parse(
	const char *text,
	struct ts_name_server out[static TS_TABLE_RESOLVER_MAX])
{
	size_t count = 0;

	while (*text && count < TS_TABLE_RESOLVER_MAX) {
		size_t len = strcspn(text, "\n");

		if (parse_line(text, len, &out[count]))
			count++;
		text += len + (text[len] == '\n');
	}
	if (count > 0)
		return count;
	out[0] = (struct ts_name_server){
		.addr = {ts_ip_from_v4_host(INADDR_LOOPBACK), DNS_PORT}};
	return 1;
}

/* "" when there is none. */
static void read_text(const char *path, char text[static CONF_CAP])
{
	FILE *f = fopen(path, "re");
	size_t len;

	text[0] = '\0';
	if (!f)
		return;
	len = fread(text, 1, CONF_CAP - 1, f);
	text[len] = '\0';
	fclose(f);
}

static void read_file(struct ts_resolv_conf *conf)
{
	char text[CONF_CAP];

	read_text(conf->path, text);
	conf->count = ts_resolv_conf_parse(text, conf->servers);
}

/* -- the search list ------------------------------------------------------ */

/* The names on a line of len bytes. */
static size_t parse_names(const char *line, size_t len,
			  char out[static TS_DNS_SYSTEM_SEARCH_MAX]
				  [TS_DNS_NAME_CAP])
{
	size_t count = 0, at = 0;

	while (at < len && count < TS_DNS_SYSTEM_SEARCH_MAX) {
		size_t n = 0;

		while (at < len && strchr(" \t\r", line[at]))
			at++;
		while (at + n < len && !strchr(" \t\r", line[at + n]))
			n++;
		if (n > 0 && n < TS_DNS_NAME_CAP) {
			memcpy(out[count], line + at, n);
			out[count++][n] = '\0';
		}
		at += n;
	}
	return count;
}

size_t ts_resolv_conf_parse_search(
	const char *text,
	char out[static TS_DNS_SYSTEM_SEARCH_MAX][TS_DNS_NAME_CAP])
{
	size_t count = 0;

	while (*text) {
		size_t len = strcspn(text, "\n");

		for (const char *word = "search"; word;
		     word = *word == 's' ? "domain" : NULL) {
			size_t n = strlen(word);

			if (len > n && strncmp(text, word, n) == 0 &&
			    strchr(blanks, text[n]))
				count = parse_names(text + n, len - n, out);
		}
		text += len + (text[len] == '\n');
	}
	return count;
}

size_t ts_resolv_conf_read_search(
	const char *path,
	char out[static TS_DNS_SYSTEM_SEARCH_MAX][TS_DNS_NAME_CAP])
{
	char text[CONF_CAP];

	read_text(path, text);
	return ts_resolv_conf_parse_search(text, out);
}

bool ts_resolv_conf_refresh(struct ts_resolv_conf *conf)
{
	struct stat now;

	if (stat(conf->path, &now))
		memset(&now, 0, sizeof(now));
	if (conf->count > 0 && now.st_ino == conf->seen.st_ino &&
	    now.st_dev == conf->seen.st_dev &&
	    now.st_size == conf->seen.st_size &&
	    now.st_mtim.tv_sec == conf->seen.st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == conf->seen.st_mtim.tv_nsec)
		return false;
	conf->seen = now;
	read_file(conf);
	return true;
}

socklen_t ts_name_server_sockaddr(const struct ts_name_server *server,
				  struct sockaddr_storage *out)
{
	int len = ts_addr_to_sockaddr(&server->addr,
				      ts_addr_family(&server->addr), out);

	if (out->ss_family == AF_INET6)
		((struct sockaddr_in6 *)out)->sin6_scope_id = server->scope;
	return (socklen_t)len;
}
