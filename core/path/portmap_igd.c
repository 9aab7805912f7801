/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_igd.c - a UPnP gateway's description, questions and answers
 */
#include "core/path/portmap_igd.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/path/portmap_xml.h"

/* What people read in their gateway's list; upstream's word. */
#define MAPPING_NAME "tailscale-portmap"

enum { ARGS_CAP = 768 };

static const char *const service_types[] = {
	[IGD_WANIP2] = "urn:schemas-upnp-org:service:WANIPConnection:2",
	[IGD_WANIP1] = "urn:schemas-upnp-org:service:WANIPConnection:1",
	[IGD_WANPPP1] = "urn:schemas-upnp-org:service:WANPPPConnection:1",
	[IGD_OLD_WANPPP1] = "urn:dslforum-org:service:WANPPPConnection:1",
	[IGD_OLD_WANIP1] = "urn:dslforum-org:service:WANIPConnection:1",
};

bool ts_igd_ip_is_usable(const struct ts_ip *ip)
{
	return ts_ip_is_v4(ip) && !ts_ip_is_unspecified(ip) &&
	       !ts_ip_is_loopback(ip) && !ts_ip_is_link_local(ip) &&
	       !ts_ip_is_multicast(ip) && !ts_ip_is_tailscale(ip) &&
	       ts_ip_v4_host(ip) != UINT32_MAX;
}

/* -- descriptions --------------------------------------------------------- */

static int find_kind(const char *type, enum ts_igd_kind *out)
{
	for (size_t i = 0; i < ARRAY_LEN(service_types); i++) {
		if (strcmp(type, service_types[i]) == 0) {
			*out = (enum ts_igd_kind)i;
			return 0;
		}
	}
	return -ENOENT;
}

static void add_service(struct ts_igd_services *services,
			const struct ts_igd_service *service)
{
	size_t at = 0;

	if (services->count == IGD_SERVICES_MAX)
		return;
	while (at < services->count &&
	       services->list[at].kind <= service->kind)
		at++;
	memmove(&services->list[at + 1], &services->list[at],
		(services->count - at) * sizeof(*service));
	services->list[at] = *service;
	services->count++;
}

struct description {
	struct ts_igd_url base;
	struct ts_igd_service service; /* being read */
	bool has_kind, has_control;
	struct ts_igd_services found;
};

static void start_service(struct description *d)
{
	d->has_kind = false;
	d->has_control = false;
}

static void end_of(struct description *d, const struct ts_xml *xml)
{
	size_t len = strlen(xml->text);

	if (xml->is_cut)
		return;
	if (ts_xml_is(xml, "URLBase"))
		ts_igd_url_read(xml->text, len, NULL, &d->base);
	else if (ts_xml_is(xml, "serviceType"))
		d->has_kind = find_kind(xml->text, &d->service.kind) == 0;
	else if (ts_xml_is(xml, "controlURL"))
		d->has_control = ts_igd_url_read(xml->text, len, &d->base,
						 &d->service.control) == 0;
	else if (ts_xml_is(xml, "service") && d->has_kind && d->has_control)
		add_service(&d->found, &d->service);
}

static void take_description(void *ctx, enum ts_xml_event event,
			     const struct ts_xml *xml)
{
	struct description *d = ctx;

	if (event == XML_END)
		end_of(d, xml);
	else if (ts_xml_is(xml, "service"))
		start_service(d);
}

int ts_igd_read_description(const void *text, size_t len,
			    const struct ts_igd_url *location,
			    struct ts_igd_services *out)
{
	struct description d = {.base = *location};
	int err = ts_xml_read(text, len, take_description, &d);

	if (err)
		return err;
	if (d.found.count == 0)
		return -ENOENT;
	*out = d.found;
	return 0;
}

/* -- requests ------------------------------------------------------------- */

static const char *action_name(enum ts_igd_kind kind,
			       enum ts_igd_action action)
{
	switch (action) {
	case IGD_GET_STATUS:
		return "GetStatusInfo";
	case IGD_GET_EXTERNAL_IP:
		return "GetExternalIPAddress";
	case IGD_ADD_PORT:
		return kind == IGD_WANIP2 ? "AddAnyPortMapping"
					  : "AddPortMapping";
	case IGD_DELETE_PORT:
		return "DeletePortMapping";
	}
	return "";
}

/* In the order of the specification: there are gateways that count. */
static void write_args(enum ts_igd_action action,
		       const struct ts_igd_mapping *m,
		       char out[static ARGS_CAP])
{
	char ip[TS_IP_TEXT_CAP];
	int len;

	out[0] = '\0';
	if (action != IGD_ADD_PORT && action != IGD_DELETE_PORT)
		return;
	len = snprintf(out, ARGS_CAP,
		       "<NewRemoteHost></NewRemoteHost>"
		       "<NewExternalPort>%u</NewExternalPort>"
		       "<NewProtocol>UDP</NewProtocol>",
		       m->external_port);
	if (action == IGD_DELETE_PORT)
		return;
	snprintf(out + len, ARGS_CAP - (size_t)len,
		 "<NewInternalPort>%u</NewInternalPort>"
		 "<NewInternalClient>%s</NewInternalClient>"
		 "<NewEnabled>1</NewEnabled>"
		 "<NewPortMappingDescription>" MAPPING_NAME
		 "</NewPortMappingDescription>"
		 "<NewLeaseDuration>%u</NewLeaseDuration>",
		 m->internal_port, ts_ip_format(&m->client, ip), m->lease_s);
}

void ts_igd_write_request(enum ts_igd_kind kind, enum ts_igd_action action,
			  const struct ts_igd_mapping *mapping,
			  struct ts_igd_request *out)
{
	const char *type = service_types[kind];
	const char *name = action_name(kind, action);
	char args[ARGS_CAP];

	write_args(action, mapping, args);
	snprintf(out->action, sizeof(out->action), "\"%s#%s\"", type, name);
	snprintf(out->body, sizeof(out->body),
		 "<?xml version=\"1.0\"?>\r\n"
		 "<s:Envelope "
		 "xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "
		 "s:encodingStyle="
		 "\"http://schemas.xmlsoap.org/soap/encoding/\">"
		 "<s:Body><u:%s xmlns:u=\"%s\">%s</u:%s></s:Body>"
		 "</s:Envelope>\r\n",
		 name, type, args, name);
}

/* -- answers -------------------------------------------------------------- */

static unsigned read_number(const char *text, unsigned long max)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)*text))
		return 0;
	errno = 0;
	value = strtoul(text, &end, 10);
	return errno || *end || value > max ? 0 : (unsigned)value;
}

static void take_value(void *ctx, enum ts_xml_event event,
		       const struct ts_xml *xml)
{
	struct ts_igd_answer *answer = ctx;
	struct ts_ip ip;

	if (event != XML_END || xml->is_cut)
		return;
	if (ts_xml_is(xml, "NewReservedPort"))
		answer->reserved_port =
			(uint16_t)read_number(xml->text, UINT16_MAX);
	else if (ts_xml_is(xml, "NewExternalIPAddress") &&
		 ts_ip_parse(xml->text, &ip) == 0 && ts_ip_is_v4(&ip))
		answer->external_ip = ip;
	else if (ts_xml_is(xml, "NewConnectionStatus"))
		answer->is_connected = strcmp(xml->text, "Connected") == 0 ||
				       strcmp(xml->text, "Up") == 0;
	else if (ts_xml_is(xml, "errorCode"))
		answer->error = read_number(xml->text, UINT16_MAX);
}

int ts_igd_read_answer(const void *text, size_t len,
		       struct ts_igd_answer *out)
{
	struct ts_igd_answer answer = {0};
	int err = ts_xml_read(text, len, take_value, &answer);

	if (!err)
		*out = answer;
	return err;
}
