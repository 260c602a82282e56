/**
 * Fails where a response that looks fine holds an error.
 */
function handle(data) {
    if (data.response.body.indexOf('Invalid session') !== -1) {
        data.response_code = 3;
        data.message = 'Invalid session';
    }
    data.logs = ['status ' + data.response.status];
    return data;
}
