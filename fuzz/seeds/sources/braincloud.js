var request = data.parms; function main() { var proxy = bridge.getHttpClientServiceProxy(); return proxy.postJson('x', '/y', {}, {}, request); }
main();
