/* SPDX-License-Identifier: BSD-3-Clause
 * hostinfo_json.c - write the Hostinfo that we tell the control server
 *
 * In the order of Go's struct, empty fields left out. jansson refuses NULL
 * values, so a failed allocation inside shows as a missing field; the
 * mandatory one is checked at the end.
 */
#include "core/control/hostinfo_json.h"

#include <stdio.h>
#include <string.h>

#include "core/base/err.h"

const char *ts_go_arch(const char *machine)
{
	static const struct {
		const char *machine, *go_arch;
	} arches[] = {
		{"x86_64", "amd64"},	{"aarch64", "arm64"},
		{"i686", "386"},	{"i586", "386"},
		{"i386", "386"},	{"armv7l", "arm"},
		{"armv6l", "arm"},	{"armv8l", "arm"},
		{"ppc64", "ppc64"},	{"ppc64le", "ppc64le"},
		{"riscv64", "riscv64"}, {"loongarch64", "loong64"},
		{"s390x", "s390x"},	{"mips64", "mips64"},
	};

	for (size_t i = 0; i < ARRAY_LEN(arches); i++)
		if (strcmp(machine, arches[i].machine) == 0)
			return arches[i].go_arch;
	return machine;
}

static void set_text(json_t *obj, const char *name, const char *text)
{
	if (text && *text)
		json_object_set_new(obj, name, json_string(text));
}

static void set_tristate(json_t *obj, const char *name, enum ts_tristate value)
{
	json_object_set_new(obj, name,
			    value == TS_UNKNOWN
				    ? json_null()
				    : json_boolean(value == TS_YES));
}

/* {"1-v4": seconds} */
static json_t *latencies(const struct ts_net_info *info)
{
	json_t *obj = json_object();
	char key[24];

	for (size_t i = 0; i < info->latency_count; i++) {
		const struct ts_derp_latency *l = &info->latencies[i];

		snprintf(key, sizeof(key), "%d-v%d", l->region, l->v6 ? 6 : 4);
		json_object_set_new(obj, key, json_real((double)l->us / 1e6));
	}
	return obj;
}

static json_t *net_info_to_json(const struct ts_net_info *info)
{
	json_t *obj = json_object();

	set_tristate(obj, "MappingVariesByDestIP", info->mapping_varies);
	set_tristate(obj, "WorkingIPv6", info->working_ipv6);
	set_tristate(obj, "OSHasIPv6", info->os_has_ipv6);
	set_tristate(obj, "WorkingUDP", info->working_udp);
	set_tristate(obj, "WorkingICMPv4", TS_UNKNOWN);
	if (info->has_port_mapping)
		set_tristate(obj, "HavePortMap", TS_YES);
	set_tristate(obj, "UPnP", info->upnp);
	set_tristate(obj, "PMP", info->pmp);
	set_tristate(obj, "PCP", info->pcp);
	json_object_set_new(obj, "PreferredDERP",
			    json_integer(info->preferred_derp));
	if (info->latency_count > 0)
		json_object_set_new(obj, "DERPLatency", latencies(info));
	return obj;
}

static void add_service(json_t *list, const char *proto, uint16_t port)
{
	json_t *service;

	if (port == 0)
		return;
	service = json_object();
	set_text(service, "Proto", proto);
	json_object_set_new(service, "Port", json_integer(port));
	json_array_append_new(list, service);
}

static void set_services(json_t *obj, const struct ts_hostinfo *hostinfo)
{
	json_t *list = json_array();

	add_service(list, "peerapi4", hostinfo->peerapi4_port);
	add_service(list, "peerapi6", hostinfo->peerapi6_port);
	if (json_array_size(list) > 0) /* it answers names, too */
		add_service(list, "peerapi-dns-proxy", 1);
	if (json_array_size(list) > 0)
		json_object_set(obj, "Services", list);
	json_decref(list);
}

static void set_tags(json_t *obj, const struct ts_control_config *config)
{
	json_t *list;

	if (config->tag_count == 0)
		return;
	list = json_array();
	for (size_t i = 0; i < config->tag_count; i++)
		json_array_append_new(list, json_string(config->tags[i]));
	json_object_set_new(obj, "RequestTags", list);
}

static void set_routes(json_t *obj, const struct ts_control_config *config)
{
	char text[TS_PREFIX_TEXT_CAP];
	json_t *list;

	if (config->route_count == 0)
		return;
	list = json_array();
	for (size_t i = 0; i < config->route_count; i++)
		json_array_append_new(
			list, json_string(ts_prefix_format(&config->routes[i],
							   text)));
	json_object_set_new(obj, "RoutableIPs", list);
}

static void set_serve(json_t *obj, const struct ts_control_serve *serve)
{
	if (!serve)
		return;
	if (serve->wire_ingress)
		set_tristate(obj, "WireIngress", TS_YES);
	if (serve->ingress_enabled)
		set_tristate(obj, "IngressEnabled", TS_YES);
	set_text(obj, "ServicesHash", serve->services_hash);
}

json_t *ts_hostinfo_to_json(const struct ts_hostinfo *hostinfo)
{
	const struct ts_control_config *config = hostinfo->config;
	json_t *obj = json_object();

	set_text(obj, "IPNVersion", config->ipn_version);
	set_text(obj, "BackendLogID", config->backend_log_id);
	set_text(obj, "OS", "linux");
	set_text(obj, "OSVersion", config->os_version);
	set_tristate(obj, "Container", config->container ? TS_YES : TS_NO);
	set_text(obj, "Distro", config->distro);
	set_text(obj, "DistroVersion", config->distro_version);
	set_text(obj, "App", config->app);
	set_text(obj, "Package", "tsnet");
	set_text(obj, "Hostname", config->hostname);
	if (config->shields_up)
		set_tristate(obj, "ShieldsUp", TS_YES);
	set_text(obj, "Machine", config->machine_arch);
	if (config->machine_arch)
		set_text(obj, "GoArch", ts_go_arch(config->machine_arch));
	set_routes(obj, config);
	set_tags(obj, config);
	set_services(obj, hostinfo);
	set_serve(obj, hostinfo->serve);
	if (hostinfo->net_info)
		json_object_set_new(obj, "NetInfo",
				    net_info_to_json(hostinfo->net_info));
	set_tristate(obj, "Userspace", TS_YES);
	set_tristate(obj, "UserspaceRouter", TS_YES);
	if (!json_object_get(obj, "BackendLogID")) {
		json_decref(obj);
		return NULL;
	}
	return obj;
}
