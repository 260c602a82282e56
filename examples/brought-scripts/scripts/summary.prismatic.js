module.exports = async ({ logger, configVars }, stepResults) => {
  const { orders } = stepResults.exportOrders.results;
  logger.info(`${orders.length} orders`);
  return { data: { title: configVars["Report Title"], count: orders.length, total: orders.reduce((sum, order) => sum + order.total, 0) } };
};
