// The published npm package `ecommpay`, unchanged: reads {secret, callbacks, pages} from standard input and says what it makes
// of them. A callback whose signature it does not accept makes it throw.
const { Callback, Payment } = require('ecommpay');

const { secret, callbacks, pages } = JSON.parse(require('fs').readFileSync(0, 'utf8'));

const read = (raw) => {
  const callback = new Callback(secret, raw);
  return {
    id: callback.getPaymentId(),
    status: callback.callback.payment.status,
    success: callback.isPaymentSuccess(),
  };
};

const open = ({ projectId, parameters }) => new Payment(projectId, secret, parameters, 'http://127.0.0.1:9').getUrl();

console.log(JSON.stringify({ callbacks: callbacks.map(read), pages: pages.map(open) }));
