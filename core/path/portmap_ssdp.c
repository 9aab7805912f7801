/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_ssdp.c - find UPnP gateways: SSDP searches and their answers
 */
#include "core/path/portmap_ssdp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/http1.h"

enum { HTTP_PORT = 80, HTTP_OK = 200, HOST_CAP = 24 };

const struct ts_ip TS_SSDP_MULTICAST = {
	.bytes = {[10] = 0xff, 0xff, 239, 255, 255, 250}};

#define SEARCH(target)                                                         \
	"M-SEARCH * HTTP/1.1\r\n"                                              \
	"HOST: 239.255.255.250:1900\r\n"                                       \
	"ST: " target "\r\n"                                                   \
	"MAN: \"ssdp:discover\"\r\n"                                           \
	"MX: 2\r\n\r\n"

const char *ts_ssdp_search(bool gateways_only)
{
	static const char all[] = SEARCH("ssdp:all");
	static const char gateways[] = SEARCH(
		"urn:schemas-upnp-org:device:InternetGatewayDevice:1");

	return gateways_only ? gateways : all;
}

/* -- URLs ----------------------------------------------------------------- */

/* What may stand in a request line; the rest is no URL. */
static bool is_path_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == '"' ||
		    text[i] == '<' || text[i] == '>' || text[i] == '#')
			return false;
	return true;
}

/* "IP" or "IP:PORT" */
static int read_host(const char *text, size_t len, uint16_t *port)
{
	char host[HOST_CAP];
	struct ts_addr addr;
	struct ts_ip ip;

	if (len == 0 || len >= sizeof(host))
		return -EBADMSG;
	memcpy(host, text, len);
	host[len] = '\0';
	if (ts_addr_parse(host, &addr) == 0 && ts_ip_is_v4(&addr.ip) &&
	    addr.port != 0) {
		*port = addr.port;
		return 0;
	}
	if (ts_ip_parse(host, &ip) != 0 || !ts_ip_is_v4(&ip))
		return -EBADMSG;
	*port = HTTP_PORT;
	return 0;
}

/* The folder of base's path, with its slash; 1 for "/". */
static size_t folder_len(const struct ts_igd_url *base)
{
	size_t end = strcspn(base->path, "?");

	while (end > 1 && base->path[end - 1] != '/')
		end--;
	return end;
}

static int set_path(struct ts_igd_url *url, const char *head, size_t head_len,
		    const char *text, size_t len)
{
	if (!is_path_text(text, len) || head_len + len >= sizeof(url->path))
		return -EBADMSG;
	memcpy(url->path, head, head_len);
	memcpy(url->path + head_len, text, len);
	url->path[head_len + len] = '\0';
	return 0;
}

int ts_igd_url_read(const char *text, size_t len,
		    const struct ts_igd_url *base, struct ts_igd_url *out)
{
	static const char scheme[] = "http://";
	const size_t scheme_len = sizeof(scheme) - 1;
	struct ts_igd_url url = {0};
	const char *path;
	size_t host_len;
	int err;

	if (len < scheme_len || strncasecmp(text, scheme, scheme_len) != 0) {
		if (!base || len == 0 || memchr(text, '\0', len))
			return -EBADMSG;
		url.port = base->port;
		err = set_path(&url, base->path,
			       text[0] == '/' ? 0 : folder_len(base), text,
			       len);
	} else {
		text += scheme_len;
		len -= scheme_len;
		path = memchr(text, '/', len);
		host_len = path ? (size_t)(path - text) : len;
		err = read_host(text, host_len, &url.port);
		if (!err)
			err = set_path(&url, "/", path ? 0 : 1,
				       text + host_len, len - host_len);
	}
	if (!err)
		*out = url;
	return err;
}

char *ts_igd_url_write(const struct ts_igd_url *url, const struct ts_ip *gateway,
		       char out[static IGD_URL_CAP])
{
	struct ts_addr addr = {.ip = *gateway, .port = url->port};
	char text[TS_ADDR_TEXT_CAP];

	snprintf(out, IGD_URL_CAP, "http://%s%s", ts_addr_format(&addr, text),
		 url->path);
	return out;
}

/* -- answers -------------------------------------------------------------- */

static void copy_field(const struct ts_http1_head *head, const char *name,
		       char *out, size_t cap)
{
	const struct ts_http1_field *field = ts_http1_find(head, name);

	out[0] = '\0';
	if (field)
		snprintf(out, cap, "%.*s", (int)field->value_len, field->value);
}

int ts_ssdp_read_answer(const uint8_t *pkt, size_t len,
			struct ts_ssdp_device *out)
{
	static const char gateway[] = ":InternetGatewayDevice:";
	const struct ts_http1_field *location;
	struct ts_ssdp_device device = {0};
	struct ts_http1_head head;

	if (!memmem(pkt, len, gateway, sizeof(gateway) - 1) ||
	    ts_http1_read_response(pkt, len, &head) != 0 ||
	    head.status != HTTP_OK)
		return -EBADMSG;
	location = ts_http1_find(&head, "Location");
	if (!location || ts_igd_url_read(location->value, location->value_len,
					 NULL, &device.location) != 0)
		return -EBADMSG;
	copy_field(&head, "Server", device.server, sizeof(device.server));
	copy_field(&head, "USN", device.usn, sizeof(device.usn));
	*out = device;
	return 0;
}

/* "InternetGatewayDevice:2" before ":1". */
static int compare(const struct ts_ssdp_device *a,
		   const struct ts_ssdp_device *b)
{
	int order = (int)b->is_gateway - (int)a->is_gateway;

	if (order == 0)
		order = strcmp(b->usn, a->usn);
	if (order == 0)
		order = strcmp(a->location.path, b->location.path);
	return order ? order : (int)a->location.port - (int)b->location.port;
}

/* Several USNs of one box lead to the same description. */
static bool is_same(const struct ts_ssdp_device *a,
		    const struct ts_ssdp_device *b)
{
	return a->location.port == b->location.port &&
	       strcmp(a->location.path, b->location.path) == 0 &&
	       strcmp(a->server, b->server) == 0;
}

bool ts_ssdp_add(struct ts_ssdp_devices *devices,
		 const struct ts_ssdp_device *device)
{
	size_t at = 0;

	for (size_t i = 0; i < devices->count; i++) {
		if (!is_same(&devices->list[i], device))
			continue;
		if (compare(device, &devices->list[i]) >= 0)
			return false;
		/* Under a better name: it moves towards the front. */
		devices->count--;
		memmove(&devices->list[i], &devices->list[i + 1],
			(devices->count - i) * sizeof(*device));
		ts_ssdp_add(devices, device);
		return false;
	}
	if (devices->count == SSDP_DEVICES_MAX) {
		if (compare(device, &devices->list[SSDP_DEVICES_MAX - 1]) >= 0)
			return false;
		devices->count--;
	}
	while (at < devices->count && compare(&devices->list[at], device) <= 0)
		at++;
	memmove(&devices->list[at + 1], &devices->list[at],
		(devices->count - at) * sizeof(*device));
	devices->list[at] = *device;
	devices->count++;
	return true;
}
