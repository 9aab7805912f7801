/* SPDX-License-Identifier: BSD-3-Clause
 * test_portmap_igd.c - what UPnP gateways write: SSDP, XML, SOAP
 */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/path/portmap_igd.h"
#include "core/path/portmap_xml.h"

/* -- SSDP ----------------------------------------------------------------- */

static const char answer[] =
	"HTTP/1.1 200 OK\r\n"
	"CACHE-CONTROL: max-age=120\r\n"
	"ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
	"USN: uuid:1::urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
	"EXT:\r\n"
	"SERVER: Debian/12 UPnP/1.1 MiniUPnPd/2.3.1\r\n"
	"LOCATION: http://192.168.1.1:5000/rootDesc.xml\r\n\r\n";

static int read_text(const char *text, struct ts_ssdp_device *out)
{
	return ts_ssdp_read_answer((const uint8_t *)text, strlen(text), out);
}

static void an_answer_tells_port_and_path(void **state)
{
	struct ts_ssdp_device d;

	(void)state;
	assert_int_equal(read_text(answer, &d), 0);
	assert_int_equal(d.location.port, 5000);
	assert_string_equal(d.location.path, "/rootDesc.xml");
	assert_string_equal(d.server, "Debian/12 UPnP/1.1 MiniUPnPd/2.3.1");
	assert_non_null(strstr(d.usn, "InternetGatewayDevice:1"));
}

static void an_answer_cut_anywhere_is_none(void **state)
{
	struct ts_ssdp_device d;

	(void)state;
	for (size_t cut = 0; cut < sizeof(answer) - 1; cut++)
		assert_int_equal(ts_ssdp_read_answer((const uint8_t *)answer,
						     cut, &d), -EBADMSG);
}

static void answers_of_others_are_none(void **state)
{
	static const char *const bad[] = {
		"NOTIFY * HTTP/1.1\r\nNT: urn:x:InternetGatewayDevice:1\r\n"
		"LOCATION: http://192.168.1.1:5000/r\r\n\r\n",
		"HTTP/1.1 404 OK\r\nST: urn:x:InternetGatewayDevice:1\r\n"
		"LOCATION: http://192.168.1.1:5000/r\r\n\r\n",
		"HTTP/1.1 200 OK\r\nST: urn:x:MediaServer:1\r\n"
		"LOCATION: http://192.168.1.1:5000/r\r\n\r\n",
		"HTTP/1.1 200 OK\r\nST: urn:x:InternetGatewayDevice:1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nST: urn:x:InternetGatewayDevice:1\r\n"
		"LOCATION: https://192.168.1.1:5000/r\r\n\r\n",
		"HTTP/1.1 200 OK\r\nST: urn:x:InternetGatewayDevice:1\r\n"
		"LOCATION: http://router.example/r\r\n\r\n",
	};
	struct ts_ssdp_device d;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(read_text(bad[i], &d), -EBADMSG);
}

static struct ts_ssdp_device device(const char *usn, uint16_t port)
{
	struct ts_ssdp_device d = {.location = {.port = port, .path = "/"}};

	snprintf(d.usn, sizeof(d.usn), "%s", usn);
	return d;
}

static void devices_are_sorted_and_kept_once(void **state)
{
	struct ts_ssdp_devices list = {0};
	struct ts_ssdp_device one = device("u::InternetGatewayDevice:1", 1);
	struct ts_ssdp_device two = device("u::InternetGatewayDevice:2", 2);
	struct ts_ssdp_device again = device("u::InternetGatewayDevice:3", 1);

	(void)state;
	assert_true(ts_ssdp_add(&list, &one));
	assert_true(ts_ssdp_add(&list, &two));
	assert_false(ts_ssdp_add(&list, &one));
	assert_int_equal(list.count, 2);
	assert_int_equal(list.list[0].location.port, 2);
	assert_false(ts_ssdp_add(&list, &again)); /* the first, better named */
	assert_int_equal(list.count, 2);
	assert_int_equal(list.list[0].location.port, 1);
	for (uint16_t i = 3; i < 50; i++) {
		struct ts_ssdp_device d = device("u", i);

		ts_ssdp_add(&list, &d);
	}
	assert_int_equal(list.count, SSDP_DEVICES_MAX);
	two.location.port = 99;
	two.is_gateway = true; /* it is not kept out by many others */
	two.usn[0] = '\0';
	assert_true(ts_ssdp_add(&list, &two));
	assert_int_equal(list.count, SSDP_DEVICES_MAX);
	assert_int_equal(list.list[0].location.port, 99);
}

/* -- URLs ----------------------------------------------------------------- */

static int read_url(const char *text, const struct ts_igd_url *base,
		    struct ts_igd_url *out)
{
	return ts_igd_url_read(text, strlen(text), base, out);
}

static void a_url_is_always_the_gateways(void **state)
{
	static const struct ts_igd_url base = {5000, "/a/root.xml?q=/x"};
	static const struct {
		const char *text;
		uint16_t port;
		const char *path;
	} good[] = {
		{"http://192.168.1.1:80/x", 80, "/x"},
		{"HTTP://10.0.0.1/x?y=1", 80, "/x?y=1"},
		{"http://10.0.0.1:49152", 49152, "/"},
		{"http://8.8.8.8:81/steal", 81,
		 "/steal"}, /* host passed over */
		{"/ctl/IPConn", 5000, "/ctl/IPConn"},
		{"ctl", 5000, "/a/ctl"},
	};
	static const char *const bad[] = {
		"", "http://", "http://:80/x", "http://host/x",
		"http://1.2.3.4:0/x", "http://1.2.3.4:99999/x",
		"http://[::1]:80/x", "http://u@1.2.3.4/x", "/a b", "/a\r\nX: y",
		"/\x01", "/a#b", "ftp:\"x", "/\xc3\xa4",
	};
	struct ts_ip gateway;
	struct ts_igd_url url;
	char text[IGD_URL_CAP];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(read_url(good[i].text, &base, &url), 0);
		assert_int_equal(url.port, good[i].port);
		assert_string_equal(url.path, good[i].path);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(read_url(bad[i], &base, &url), -EBADMSG);
	assert_int_equal(read_url("/relative", NULL, &url), -EBADMSG);
	assert_int_equal(ts_igd_url_read("/a\0b", 4, &base, &url), -EBADMSG);
	assert_int_equal(ts_ip_parse("192.168.1.1", &gateway), 0);
	assert_int_equal(read_url("http://8.8.8.8:81/steal", NULL, &url), 0);
	assert_string_equal(ts_igd_url_write(&url, &gateway, text),
			    "http://192.168.1.1:81/steal");
}

static void a_path_has_a_limit(void **state)
{
	static const struct ts_igd_url base = {80, "/"};
	char path[IGD_PATH_CAP + 1];
	struct ts_igd_url url;

	(void)state;
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	assert_int_equal(ts_igd_url_read(path, IGD_PATH_CAP - 1, &base, &url),
			 0);
	assert_int_equal(ts_igd_url_read(path, IGD_PATH_CAP, &base, &url),
			 -EBADMSG);
}

/* -- XML ------------------------------------------------------------------ */

/* All events in short: (a, )a, text in between, ! for an error. */
static char *events(const char *text, size_t len)
{
	char *out = calloc(1, 8 * len + 64), *at = out;
	enum ts_xml_event event;
	struct ts_xml xml;

	assert_non_null(out);
	ts_xml_init(&xml, text, len);
	while ((event = ts_xml_next(&xml)) == XML_START || event == XML_END)
		at += sprintf(at, "%s%.*s", event == XML_START ? "(" : xml.text,
			      event == XML_START ? (int)xml.name.len : 0,
			      xml.name.at),
		at += sprintf(at, "%s", event == XML_END ? ")" : "");
	if (event == XML_ERROR) {
		assert_int_equal(ts_xml_next(&xml), XML_ERROR); /* for good */
		strcpy(at, "!");
	}
	return out;
}

static void check_xml(const char *text, const char *expected)
{
	char *got = events(text, strlen(text));

	assert_string_equal(got, expected);
	free(got);
}

static void xml_is_read(void **state)
{
	(void)state;
	check_xml("<a/>", "(a)");
	check_xml("\xef\xbb\xbf<?xml version='1.0'?>\n<!-- <b> -->\n"
		  "<a> x </a>\n", "(ax)");
	check_xml("<s:a xmlns:s=\"u>rn\"><s:b>1</s:b><c/>\n</s:a>",
		  "(a(b1)(c))");
	check_xml("<a>&lt;&amp;&#65;&#x42;&gt;&quot;&apos;</a>",
		  "(a<&AB>\"')");
	check_xml("<a><![CDATA[<x>&amp;]]></a>", "(a<x>&amp;)");
	check_xml("<a>&#228;</a>", "(a?)");
}

static void what_is_not_well_formed_is_refused(void **state)
{
	static const char *const bad[] = {
		"", " ", "x", "<a>", "<a></b>", "<a/><b/>", "<a/>x", "</a>",
		"<a", "<a b=\"", "<a b='<'", "<>", "<a>&x;</a>", "<a>&#;</a>",
		"<a>&#x110000;</a>", "<a>&#99999999999;</a>", "<a>&lt</a>",
		"<!DOCTYPE a><a/>", "<a><![CDATA[x</a>", "<!-- x", "<?xml",
		"<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "<a><b</a>",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *got = events(bad[i], strlen(bad[i]));

		assert_non_null(strchr(got, '!'));
		free(got);
	}
}

static void depth_and_text_are_bounded(void **state)
{
	char deep[4 * XML_DEPTH_MAX + 8] = "";
	char text[XML_TEXT_CAP + 16];
	struct ts_xml xml;
	char *got;

	(void)state;
	for (size_t i = 0; i <= XML_DEPTH_MAX; i++)
		strcat(deep, "<a>");
	got = events(deep, strlen(deep));
	assert_non_null(strchr(got, '!'));
	free(got);
	memset(text, 'x', sizeof(text));
	memcpy(text, "<a>", 3);
	memcpy(text + sizeof(text) - 4, "</a>", 4);
	ts_xml_init(&xml, text, sizeof(text));
	assert_int_equal(ts_xml_next(&xml), XML_START);
	assert_int_equal(ts_xml_next(&xml), XML_END);
	assert_true(xml.is_cut);
	assert_int_equal(strlen(xml.text), XML_TEXT_CAP - 1);
}

/* -- descriptions --------------------------------------------------------- */

#define UPNP "urn:schemas-upnp-org:service:"
#define SERVICE(type, url)                                                     \
	"<service><serviceType>" type "</serviceType>"                         \
	"<controlURL>" url "</controlURL></service>"
#define DESCRIPTION(services)                                                  \
	"<?xml version=\"1.0\"?>"                                              \
	"<root xmlns=\"urn:schemas-upnp-org:device-1-0\">"                     \
	"<device><deviceList><device><serviceList>" services                   \
	"</serviceList></device></deviceList></device></root>"

static int read_description(const char *text, struct ts_igd_services *out)
{
	static const struct ts_igd_url location = {5000, "/root.xml"};

	return ts_igd_read_description(text, strlen(text), &location, out);
}

static void services_come_in_the_order_of_preference(void **state)
{
	static const char text[] = DESCRIPTION(
		SERVICE("urn:dslforum-org:service:WANIPConnection:1", "/o")
		SERVICE(UPNP "WANPPPConnection:1", "/p")
		SERVICE(UPNP "Layer3Forwarding:1", "/l")
		SERVICE(UPNP "WANIPConnection:2", "/2")
		SERVICE(UPNP "WANIPConnection:1", "/1"));
	static const char *const paths[] = {"/2", "/1", "/p", "/o"};
	struct ts_igd_services s;

	(void)state;
	assert_int_equal(read_description(text, &s), 0);
	assert_int_equal(s.count, 4);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(s.list[i].control.path, paths[i]);
	assert_int_equal(s.list[0].kind, IGD_WANIP2);
	assert_int_equal(s.list[3].kind, IGD_OLD_WANIP1);
}

static void a_description_cut_anywhere_is_none(void **state)
{
	static const char text[] = DESCRIPTION(
		SERVICE(UPNP "WANIPConnection:1", "/1"));
	static const struct ts_igd_url location = {5000, "/root.xml"};
	struct ts_igd_services s;

	(void)state;
	for (size_t cut = 0; cut < sizeof(text) - 1; cut++)
		assert_int_equal(ts_igd_read_description(text, cut, &location,
							 &s), -EBADMSG);
}

static void a_base_moves_the_port_but_not_the_host(void **state)
{
	static const char text[] =
		"<root><URLBase>http://192.168.1.1:2869/b/</URLBase>" SERVICE(
			UPNP "WANIPConnection:1", "c")
		"</root>";
	struct ts_igd_services s;

	(void)state;
	assert_int_equal(read_description(text, &s), 0);
	assert_int_equal(s.list[0].control.port, 2869);
	assert_string_equal(s.list[0].control.path, "/b/c");
}

static void a_description_without_a_service_of_use_is_none(void **state)
{
	struct ts_igd_services s;

	(void)state;
	assert_int_equal(read_description(DESCRIPTION(""), &s), -ENOENT);
	assert_int_equal(read_description(DESCRIPTION(SERVICE("urn:x", "/1")),
					  &s), -ENOENT);
	assert_int_equal(
		read_description(
			DESCRIPTION("<service><serviceType>"
				    "urn:schemas-upnp-org:service:"
				    "WANIPConnection:1</serviceType></service>"
				    "<service><controlURL>/x</controlURL>"
				    "</service>"),
			&s),
		-ENOENT);
	assert_int_equal(read_description("<html>", &s), -EBADMSG);
}

static void services_are_bounded(void **state)
{
	static const char one[] = SERVICE(
		UPNP "WANIPConnection:1", "/1");
	char *text = calloc(1, 100 * sizeof(one) + 16);
	struct ts_igd_services s;

	(void)state;
	strcpy(text, "<r>");
	for (int i = 0; i < 100; i++)
		strcat(text, one);
	strcat(text, "</r>");
	assert_int_equal(read_description(text, &s), 0);
	assert_int_equal(s.count, IGD_SERVICES_MAX);
	free(text);
}

/* -- SOAP ----------------------------------------------------------------- */

static void requests_name_service_action_and_arguments(void **state)
{
	struct ts_igd_mapping m = {.external_port = 40000,
				   .internal_port = 41641,
				   .lease_s = 7200};
	struct ts_igd_request rq;

	(void)state;
	assert_int_equal(ts_ip_parse("192.168.1.2", &m.client), 0);
	ts_igd_write_request(IGD_WANIP1, IGD_ADD_PORT, &m, &rq);
	assert_string_equal(rq.action, "\"urn:schemas-upnp-org:service:"
				       "WANIPConnection:1#AddPortMapping\"");
	assert_non_null(strstr(
		rq.body,
		"<u:AddPortMapping xmlns:u=\"urn:schemas-upnp-org:service:"
		"WANIPConnection:1\"><NewRemoteHost></NewRemoteHost>"
		"<NewExternalPort>40000</NewExternalPort>"
		"<NewProtocol>UDP</NewProtocol>"
		"<NewInternalPort>41641</NewInternalPort>"
		"<NewInternalClient>192.168.1.2</NewInternalClient>"
		"<NewEnabled>1</NewEnabled>"
		"<NewPortMappingDescription>tailscale-portmap"
		"</NewPortMappingDescription>"
		"<NewLeaseDuration>7200</NewLeaseDuration>"
		"</u:AddPortMapping>"));
	ts_igd_write_request(IGD_WANIP2, IGD_ADD_PORT, &m, &rq);
	assert_non_null(strstr(rq.action, ":2#AddAnyPortMapping\""));
	ts_igd_write_request(IGD_OLD_WANPPP1, IGD_DELETE_PORT, &m, &rq);
	assert_non_null(strstr(rq.body, "<NewProtocol>UDP</NewProtocol>"
					"</u:DeletePortMapping></s:Body>"));
}

static int read_soap(const char *text, struct ts_igd_answer *out)
{
	return ts_igd_read_answer(text, strlen(text), out);
}

static void answers_are_read(void **state)
{
	static const char fault[] =
		"<s:Envelope xmlns:s=\"x\"><s:Body><s:Fault><detail><UPnPError>"
		"<errorCode>725</errorCode></UPnPError></detail></s:Fault>"
		"</s:Body></s:Envelope>";
	struct ts_igd_answer a;
	struct ts_ip there;

	(void)state;
	assert_int_equal(read_soap("<e><NewExternalIPAddress> 203.0.113.9 "
				   "</NewExternalIPAddress></e>", &a), 0);
	assert_int_equal(ts_ip_parse("203.0.113.9", &there), 0);
	assert_true(ts_ip_equal(&a.external_ip, &there));
	assert_int_equal(read_soap("<e><NewReservedPort>40001</NewReservedPort>"
				   "<NewConnectionStatus>Connected"
				   "</NewConnectionStatus></e>", &a), 0);
	assert_int_equal(a.reserved_port, 40001);
	assert_true(a.is_connected);
	assert_int_equal(read_soap(fault, &a), 0);
	assert_int_equal(a.error, IGD_ONLY_PERMANENT);
	for (size_t cut = 0; cut < sizeof(fault) - 1; cut++)
		assert_int_equal(ts_igd_read_answer(fault, cut, &a), -EBADMSG);
}

static void values_that_make_no_sense_are_zeros(void **state)
{
	struct ts_igd_answer a;

	(void)state;
	assert_int_equal(read_soap("<e><NewReservedPort>70000</NewReservedPort>"
				   "<NewExternalIPAddress>fe80::1"
				   "</NewExternalIPAddress></e>", &a), 0);
	assert_int_equal(a.reserved_port, 0);
	assert_true(ts_ip_is_zero(&a.external_ip));
	assert_int_equal(
		read_soap("<e><NewReservedPort>-1</NewReservedPort>"
			  "<NewExternalIPAddress>1.2.3"
			  "</NewExternalIPAddress><errorCode>x</errorCode>"
			  "</e>",
			  &a),
		0);
	assert_int_equal(a.reserved_port, 0);
	assert_int_equal(a.error, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_tells_port_and_path),
		cmocka_unit_test(an_answer_cut_anywhere_is_none),
		cmocka_unit_test(answers_of_others_are_none),
		cmocka_unit_test(devices_are_sorted_and_kept_once),
		cmocka_unit_test(a_url_is_always_the_gateways),
		cmocka_unit_test(a_path_has_a_limit),
		cmocka_unit_test(xml_is_read),
		cmocka_unit_test(what_is_not_well_formed_is_refused),
		cmocka_unit_test(depth_and_text_are_bounded),
		cmocka_unit_test(services_come_in_the_order_of_preference),
		cmocka_unit_test(a_description_cut_anywhere_is_none),
		cmocka_unit_test(a_base_moves_the_port_but_not_the_host),
		cmocka_unit_test(
			a_description_without_a_service_of_use_is_none),
		cmocka_unit_test(services_are_bounded),
		cmocka_unit_test(requests_name_service_action_and_arguments),
		cmocka_unit_test(answers_are_read),
		cmocka_unit_test(values_that_make_no_sense_are_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
