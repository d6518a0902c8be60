/* SPDX-License-Identifier: Apache-2.0 */

/**
 * @file
 * @brief WebSocket resources of Zephyr's HTTP server, for the crate zephyr-websocket.
 */

#ifndef ZEPHYR_WEBSOCKET_HTTP_H_
#define ZEPHYR_WEBSOCKET_HTTP_H_

#include <zephyr/net/http/server.h>
#include <zephyr/net/http/service.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @brief Define a WebSocket resource of an HTTP or HTTPS service.
 *
 * Its connections are served by the hub that has an HttpNetwork, together with those of all other
 * resources that are defined so; the request's path tells them apart. The same path can also have
 * a page.
 *
 * @param _name Name of the resource, as for HTTP_RESOURCE_DEFINE().
 * @param _service Name of the service.
 * @param _path Path of the resource.
 */
#define RUST_WEBSOCKET_HTTP_RESOURCE(_name, _service, _path)                                       \
	static struct http_resource_detail_websocket _name##_detail = {                            \
		.common = {                                                                        \
			.type = HTTP_RESOURCE_TYPE_WEBSOCKET,                                      \
			.bitmask_of_supported_http_methods = BIT(HTTP_GET),                        \
		},                                                                                 \
		.cb = rust_websocket_http_upgraded,                                                \
	};                                                                                         \
	HTTP_RESOURCE_DEFINE(_name, _service, _path, &_name##_detail)

/** @brief Takes over a connection: what the resource above calls. */
int rust_websocket_http_upgraded(int ws_socket, struct http_request_ctx *request, void *user_data);

#ifdef __cplusplus
}
#endif

#endif /* ZEPHYR_WEBSOCKET_HTTP_H_ */
